package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The openings of this host and the claims of all: announces, binds and voids them.
 *
 * <p>A claim is bound once, on every host alike. Until its channel is open on this host, whatever
 * fails voids the claims of this host in it, and each other host fails what it had bound to them:
 * so an opening that fails anywhere fails everywhere. A claim is repeated to a peer that greets
 * until its channel is open.
 */
final class Openings implements Registry {
  /** Digests of channels that are not bound here yet; more are forgotten, oldest first. */
  private static final int EARLY_MAX = 1 << 10;

  private record Early(String host, ControlMessage message) {}

  private final Node node;
  private final Runnable begun;
  private final ClaimsDirectory directory = new ClaimsDirectory();
  private final Map<Claim.Id, LocalParticipant> own = new LinkedHashMap<>();
  private final Map<Claim.Id, Channel> bound = new LinkedHashMap<>();
  private final List<Early> early = new ArrayList<>();
  private Channel[] channels = new Channel[0];
  private long nextNumber;

  /**
   * @param begun run when a channel begins here
   */
  Openings(Node node, Runnable begun) {
    this.node = node;
    this.begun = begun;
  }

  /** The channel with this id; a walk, as an agent has few. */
  @Nullable Channel channel(long id) {
    for (Channel channel : channels) {
      if (channel.id() == id) {
        return channel;
      }
    }
    return null;
  }

  List<Channel> channels() {
    return List.of(channels);
  }

  /** The openings of this host that belong to no channel yet. */
  List<String> unbound() {
    return own.values().stream()
        .map(LocalParticipant::claim)
        .filter(claim -> claim != null && !bound.containsKey(claim.id()))
        .map(Claim::name)
        .toList();
  }

  /** A process of this host opens a channel. */
  void open(LocalParticipant participant) {
    if (participant.closed()) {
      return;
    }
    ChannelOpen request = participant.open();
    Claim claim = claimOf(new Claim.Id(node.epoch(), nextNumber++), node.host(), request);
    participant.claim(claim);
    own.put(claim.id(), participant);
    node.timers().at(node.now() + request.timeoutNanos(), () -> timeOut(participant));
    node.outbox().broadcast(MessageKind.CLAIM, ControlCodec.claim(claim));
    add(claim);
  }

  static Claim claimOf(Claim.Id id, String host, ChannelOpen request) {
    return new Claim(
        id,
        host,
        request.name(),
        request.side(),
        request.tensors(),
        request.devices(),
        request.strategy(),
        request.order(),
        request.topology(),
        request.verify());
  }

  /** A claim of a peer, new or repeated. */
  void add(Claim claim) {
    if (directory.add(claim)) {
      bind(claim.name());
    }
  }

  private void bind(String name) {
    while (true) {
      switch (directory.match(name)) {
        case Matcher.Incomplete incomplete -> {
          return;
        }
        case Matcher.Conflict conflict -> {
          List<LocalParticipant> mine = participants(conflict.claims(), null);
          if (mine.isEmpty()) {
            return;
          }
          mine.forEach(participant -> withdraw(participant, conflict.failure(), conflict.claims()));
        }
        case Matcher.Complete complete -> bind(complete.binding());
      }
    }
  }

  private void bind(Binding binding) {
    binding.claims().forEach(claim -> directory.spend(claim.name(), claim.id()));
    List<LocalParticipant> senders = participants(binding.claims(), Side.SRC);
    List<LocalParticipant> receivers = participants(binding.claims(), Side.DST);
    if (senders.isEmpty() && receivers.isEmpty()) {
      return;
    }
    Channel channel = new Channel(node, this, binding, senders, receivers);
    binding.claims().forEach(claim -> bound.put(claim.id(), channel));
    Channel[] more = java.util.Arrays.copyOf(channels, channels.length + 1);
    more[channels.length] = channel;
    channels = more;
    begun.run();
    channel.opening().begin();
    List<Early> mine = early.stream().filter(e -> e.message.channel() == channel.id()).toList();
    early.removeAll(mine);
    mine.forEach(e -> channel.message(e.host, e.message));
  }

  private List<LocalParticipant> participants(List<Claim> claims, @Nullable Side side) {
    List<LocalParticipant> mine = new ArrayList<>();
    for (Claim claim : claims) {
      LocalParticipant participant = own.get(claim.id());
      if (participant != null && (side == null || claim.side() == side)) {
        mine.add(participant);
      }
    }
    return mine;
  }

  /** A message about a channel that is not known here: perhaps not yet. */
  void early(String host, ControlMessage message) {
    if (message.kind() != MessageKind.READY) {
      node.drop();
      return;
    }
    early.add(new Early(host, message));
    if (early.size() > EARLY_MAX) {
      early.removeFirst();
    }
  }

  /** A peer that has just come to know this host. */
  void greeted(Peer peer) {
    for (Map.Entry<Claim.Id, LocalParticipant> entry : own.entrySet()) {
      Channel channel = bound.get(entry.getKey());
      Claim claim = entry.getValue().claim();
      if (claim != null && (channel == null || !channel.isOpen())) {
        node.outbox().send(peer.host(), MessageKind.CLAIM, 0, 0, ControlCodec.claim(claim));
      }
    }
    for (Channel channel : channels) {
      channel.opening().announce(peer.host());
    }
  }

  /** A peer's claim is void. */
  void withdrawn(Peer peer, ControlCodec.Withdrawal withdrawal) {
    Claim.Id id = new Claim.Id(peer.spec().epoch(), withdrawal.number());
    directory.spend(withdrawal.name(), id);
    Channel channel = bound.get(id);
    if (channel != null) {
      channel.fail(withdrawal.failure(), true);
      return;
    }
    for (Claim.Id other : withdrawal.together()) {
      LocalParticipant mine = bound.containsKey(other) ? null : own.get(other);
      if (mine != null) {
        // Its channel has failed before all of its claims were seen here.
        withdraw(mine, withdrawal.failure(), List.of());
      }
    }
    bind(withdrawal.name());
  }

  @Override
  public void withdraw(LocalParticipant participant, Failure failure, List<Claim> together) {
    Claim claim = participant.claim();
    if (claim != null && own.remove(claim.id()) != null) {
      directory.spend(claim.name(), claim.id());
      byte[] payload =
          ControlCodec.withdrawal(
              new ControlCodec.Withdrawal(
                  claim.id().number(),
                  claim.name(),
                  failure,
                  together.stream().map(Claim::id).toList()));
      node.outbox().broadcast(MessageKind.UNCLAIM, payload);
    }
    participant.channelOver(failure);
  }

  @Override
  public void over(Channel channel) {
    channels = java.util.Arrays.stream(channels).filter(c -> c != channel).toArray(Channel[]::new);
    channel.binding().claims().forEach(claim -> bound.remove(claim.id(), channel));
    if (channel.isOpen()) {
      channel.binding().claims().forEach(claim -> own.remove(claim.id()));
    }
  }

  private void timeOut(LocalParticipant participant) {
    Claim claim = participant.claim();
    Channel channel = claim == null ? null : bound.get(claim.id());
    if (participant.closed() || claim == null || !own.containsKey(claim.id())) {
      return;
    }
    if (channel != null && channel.isOpen()) {
      return;
    }
    double seconds = participant.open().timeoutNanos() / (double) TimeUnit.SECONDS.toNanos(1);
    String why =
        channel != null
            ? OpeningReport.notReady(node, channel.opening().lacks())
            : directory.match(claim.name()) instanceof Matcher.Incomplete incomplete
                ? OpeningReport.of(node, incomplete)
                : "its other parties left. Open it again on all of them.";
    Failure failure =
        new Failure(
            Code.TRANSFER_TIMEOUT,
            "Channel '%s' did not open within %.3f s on host '%s': %s"
                .formatted(claim.name(), seconds, node.host(), why));
    if (channel != null) {
      channel.fail(failure, true);
    } else {
      withdraw(participant, failure, List.of());
    }
  }

  /** A peer is lost: its claims are void, and so are channels that need it. */
  void peerLost(Peer peer, String reason) {
    for (Channel channel : channels.clone()) {
      channel.peerLost(peer.host(), reason);
    }
    Collection<String> names = directory.removeEpoch(peer.spec().epoch());
    names.forEach(this::bind);
  }

  /** The agent stops. */
  void close(CrossmeshException why) {
    Failure failure = new Failure(why.code(), why.getMessage());
    for (Channel channel : channels.clone()) {
      channel.leave(failure, "its agent was stopped");
    }
    List.copyOf(own.values()).forEach(participant -> withdraw(participant, failure, List.of()));
  }
}
