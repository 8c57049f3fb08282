package io.crossmesh.transfer;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Supplier;

/**
 * Notices hosts that say nothing any more though the connection to them stands: a pulled cable, a
 * machine without power, a process that hangs. While there are channels, each host of them that
 * nothing came of since the last beat is asked, and whoever is asked answers; after {@value #BEATS}
 * beats without anything it is lost. A host that talks is not asked, and without channels nobody
 * is.
 *
 * <p>Beats are counted, not time: a process that was stopped and goes on looks at what came
 * meanwhile before it judges.
 */
final class Heartbeats {
  /** Beats in the silence after which a host is lost. */
  static final int BEATS = 8;

  private final Node node;
  private final Supplier<List<Channel>> channels;
  private final Consumer<Peer> lost;
  private boolean beating;

  /**
   * @param lost told of each host that is silent, once
   */
  Heartbeats(Node node, Supplier<List<Channel>> channels, Consumer<Peer> lost) {
    this.node = node;
    this.channels = channels;
    this.lost = lost;
  }

  /** There is a channel. */
  void begin() {
    if (!beating) {
      beating = true;
      next();
    }
  }

  private void next() {
    node.timers().at(node.now() + node.options().silenceNanos() / BEATS, this::beat);
  }

  private void beat() {
    Set<String> hosts = new LinkedHashSet<>();
    for (Channel channel : channels.get()) {
      hosts.addAll(channel.binding().hosts());
    }
    beating = !hosts.isEmpty();
    for (String host : hosts) {
      Peer peer = node.peers().ofHost(host);
      if (peer != null && peer.connected()) {
        listen(peer);
      }
    }
    if (beating) {
      next();
    }
  }

  private void listen(Peer peer) {
    int quiet = peer.beat();
    if (quiet >= BEATS) {
      lost.accept(peer);
    } else if (quiet > 0) {
      node.outbox().send(peer.host(), MessageKind.PING, 0, 0, ControlMessage.NO_PAYLOAD);
    }
  }
}
