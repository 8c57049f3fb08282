package io.crossmesh.transfer;

import io.crossmesh.CrossmeshException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;

/**
 * Who the other agents are, and which of them are lost: because the cluster says so, because the
 * transport does, because they say nothing ({@link Heartbeats}), or because they say themselves
 * that they had lost this host.
 */
final class Membership {
  private final Node node;
  private final Transport transport;
  private final Openings openings;
  private final BiConsumer<Peer, ControlMessage> inbox;
  private final BiConsumer<String, ControlMessage> dispatch;
  private final Map<String, String> losses = new HashMap<>();

  /**
   * @param inbox where messages of peers wait for {@link #arrived}
   * @param dispatch takes what is none of this class
   */
  Membership(
      Node node,
      Transport transport,
      Openings openings,
      BiConsumer<Peer, ControlMessage> inbox,
      BiConsumer<String, ControlMessage> dispatch) {
    this.node = node;
    this.transport = transport;
    this.openings = openings;
    this.inbox = inbox;
    this.dispatch = dispatch;
  }

  /** Tells who all are; this host may be among them. */
  void update(List<PeerSpec> all) {
    Set<PeerSpec> wanted = new HashSet<>(all);
    for (Peer peer : node.peers().all()) {
      if (!wanted.contains(peer.spec()) || !peer.connected()) {
        lose(peer, "it has left the cluster or was started again");
        node.peers().remove(peer);
        // The peer may have connected anew: what is left of before shows another pass than is
        // wanted.
        transport.disconnect(peer.index());
      }
    }
    for (PeerSpec spec : all) {
      if (!spec.host().equals(node.host()) && node.peers().ofHost(spec.host()) == null) {
        Peer peer = new Peer(node.peers().nextIndex(), spec, inbox);
        node.peers().add(peer);
        transport.connect(peer.index(), spec.transportAddress());
        greet(peer, MessageKind.HELLO);
      }
    }
  }

  /**
   * Whether this host sends to a peer by the connection that the peer has opened. One of the two
   * does, so that bytes go both ways on one connection and take each other's acknowledgements
   * along. Only to be done when the peer has shown its pass there.
   */
  boolean answers(Peer peer) {
    return node.host().compareTo(peer.host()) > 0;
  }

  private void greet(Peer peer, MessageKind kind) {
    ControlCodec.Hello hello = new ControlCodec.Hello(node.host(), peer.pass());
    node.outbox().send(peer.host(), kind, 0, 0, ControlCodec.hello(hello));
  }

  /** Nothing can be sent to a peer any more. */
  void lose(Peer peer, String reason) {
    if (peer.connected()) {
      peer.lost();
      losses.put(peer.host(), reason);
      openings.peerLost(peer, reason);
    }
  }

  /** Why a host was lost last, unless it has answered since; else empty. */
  String loss(Peer peer) {
    return peer.answered() ? "" : losses.getOrDefault(peer.host(), "");
  }

  /** Nothing comes of a peer any more; what is on its way to it or from it ends. */
  void silent(Peer peer) {
    double seconds = node.options().silenceNanos() / (double) TimeUnit.SECONDS.toNanos(1);
    lose(peer, "nothing came of it for %.1f s".formatted(seconds));
    transport.abandon(peer.index());
    transport.sever(peer.connection());
  }

  /** Takes a message of a peer. */
  void arrived(Peer peer, ControlMessage message) {
    if (!peer.connected()) {
      node.drop();
      return;
    }
    try {
      switch (message.kind()) {
        case HELLO -> greeted(peer, ControlCodec.readHello(message.payload()));
        case WELCOME -> {
          if (peer.tell(ControlCodec.readHello(message.payload()).pass())) {
            openings.greeted(peer);
          }
        }
        case CLAIM ->
            openings.add(
                ControlCodec.readClaim(message.payload(), peer.host(), peer.spec().epoch()));
        case UNCLAIM -> openings.withdrawn(peer, ControlCodec.readWithdrawal(message.payload()));
        case PING ->
            node.outbox().send(peer.host(), MessageKind.PONG, 0, 0, ControlMessage.NO_PAYLOAD);
        case PONG -> {
          // That it came is what it says.
        }
        default -> dispatch.accept(peer.host(), message);
      }
    } catch (CrossmeshException e) {
      node.drop();
    }
  }

  private void greeted(Peer peer, ControlCodec.Hello hello) {
    if (!hello.host().equals(peer.host())) {
      node.drop();
      return;
    }
    if (!peer.greet()) {
      openings.peerLost(peer, "it had lost the connection to this host");
    }
    peer.tell(hello.pass());
    // Ours may have come before the peer knew this host.
    greet(peer, MessageKind.WELCOME);
    openings.greeted(peer);
  }
}
