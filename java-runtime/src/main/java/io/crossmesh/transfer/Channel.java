package io.crossmesh.transfer;

import io.crossmesh.plan.Plan;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One channel on one host, from the binding of its claims until its memory is given back.
 *
 * <p>Invariants:
 *
 * <ul>
 *   <li>Nothing is sent or landed before all hosts have announced equal digests, nothing after the
 *       end. Every message carries the channel's incarnation and its step: what belongs to no live
 *       step is thrown away.
 *   <li>A chunk in flight, out or in, pins the memory it uses. A step that dies frees its sets only
 *       when the last pin is gone, a channel that ends likewise.
 *   <li>Each call of a participant has one answer; a step that is over is over on every host, as
 *       whoever ends it tells all others.
 *   <li>What fails here touches no other channel.
 * </ul>
 */
final class Channel {
  private final Node node;
  private final Registry registry;
  private final Binding binding;
  private final List<LocalParticipant> senders;
  private final List<LocalParticipant> receivers;
  private final List<LocalParticipant> participants;
  private final Passes passes;
  private final ChannelText text;
  private final ChannelOpening opening;
  private final Closings closings;
  private final StepEnds ends;
  private final Recovery recovery;
  private final ChannelInbox inbox;
  private @Nullable Roles roles;
  private boolean open;
  private boolean ended;
  private boolean queued;
  private int pins;
  private long bulkBytesSent;
  private long bulkBytesReceived;

  Channel(
      Node node,
      Registry registry,
      Binding binding,
      List<LocalParticipant> senders,
      List<LocalParticipant> receivers) {
    this.node = node;
    this.registry = registry;
    this.binding = binding;
    this.senders = List.copyOf(senders);
    this.receivers = List.copyOf(receivers);
    this.participants = Stream.concat(senders.stream(), receivers.stream()).toList();
    this.passes = new Passes(binding.hosts());
    node.passes().add(binding.id(), passes);
    this.text = new ChannelText(node.host(), binding);
    this.closings = new Closings(binding, text);
    this.opening = new ChannelOpening(node, this, binding);
    this.recovery = new Recovery(node, this, binding, closings, text);
    this.ends = new StepEnds(this, senders, receivers, closings, recovery);
    this.inbox = new ChannelInbox(node, this, closings, recovery);
    for (int i = 0; i < senders.size(); i++) {
      senders.get(i).bind(this, i);
    }
    for (int i = 0; i < receivers.size(); i++) {
      receivers.get(i).bind(this, i);
    }
  }

  long id() {
    return binding.id();
  }

  Binding binding() {
    return binding;
  }

  /** What its messages must show. */
  Passes passes() {
    return passes;
  }

  ChannelOpening opening() {
    return opening;
  }

  boolean isOpen() {
    return open;
  }

  boolean ended() {
    return ended;
  }

  /** The channel and its tensors, in the words of messages. */
  String what() {
    return text.what();
  }

  /** The words in which it fails. */
  ChannelText text() {
    return text;
  }

  /** This host's part of the plan; any thread may work it out. */
  HostPlan part(Plan made) {
    return new HostPlan(
        made,
        node.host(),
        senders.stream().map(sender -> sender.open().devices()).toList(),
        node.options().spares());
  }

  /** Reserves everything this host needs; any thread may. */
  Preparation prepare(HostPlan plan) {
    return Preparation.of(node, binding, plan, senders, receivers);
  }

  /**
   * Takes what was prepared, which is given back with the channel.
   *
   * @throws io.crossmesh.CrossmeshException PEER_LOST when a host of the channel is not connected
   */
  void take(Preparation prepared) {
    roles = new Roles(node, this, binding, prepared, senders, receivers);
  }

  /** Every host is ready. */
  void open() {
    Roles ready = roles;
    if (open || ended || ready == null) {
      return;
    }
    open = true;
    for (LocalParticipant participant : participants) {
      participant.opened(ready.info(id(), participant), ready.stagingSets(participant));
    }
    inbox.open();
  }

  Roles roles() {
    Roles present = roles;
    if (present == null) {
      throw new IllegalStateException("the channel is not planned yet");
    }
    return present;
  }

  void send(LocalParticipant sender, long before, long step, int stagingSet) {
    SourceSteps steps = roles().source();
    if (steps != null) {
      steps.send(sender, before, step, stagingSet);
      ends.forget();
    }
  }

  void recv(LocalParticipant receiver, long before, long step) {
    SinkSteps steps = roles().sink();
    if (steps != null) {
      steps.recv(receiver, before, step);
      ends.forget();
    }
  }

  /** Takes a message of a host of this channel. */
  void message(String host, ControlMessage message) {
    inbox.message(host, message);
  }

  /** Answers where a chunk goes. */
  Transport.Landing chunk(WireHeader header, Peer peer) {
    SinkSteps steps = !open || ended ? null : roles().sink();
    if (steps == null) {
      node.drop();
      return Transport.Landing.DISCARD;
    }
    return steps.chunks().chunk(header, peer);
  }

  /** Which steps are over, and why. */
  StepEnds ends() {
    return ends;
  }

  /** What becomes of the channel's steps when it loses hosts. */
  Recovery recovery() {
    return recovery;
  }

  /** The hosts that are lost. */
  Losses losses() {
    return recovery.losses();
  }

  /** What this host gives to others that ask for it. */
  Holdings holdings() {
    return roles().holdings();
  }

  /** What a step waits for, in the words of messages. */
  String lacks(long step) {
    return roles().lacks(step);
  }

  /** Says something to all other hosts. */
  void tell(MessageKind kind, long step, byte[] payload) {
    for (String host : binding.hosts()) {
      if (!host.equals(node.host())) {
        node.outbox().send(host, kind, id(), step, payload);
      }
    }
  }

  /** A process of this host takes part in no more steps. */
  void closing(LocalParticipant participant) {
    Claim claim = participant.claim();
    if (claim != null) {
      byte[] payload = ControlCodec.number(claim.id().number());
      node.outbox()
          .send(binding.hosts(), MessageKind.CLOSE, id(), participant.lastCalled(), payload);
    }
    roles().participantClosing();
  }

  /** A process of a host takes part in no step after this one. */
  void close(String host, long lastStep, long number) {
    binding.claims().stream()
        .filter(claim -> claim.host().equals(host) && claim.id().number() == number)
        .findFirst()
        .filter(claim -> closings.add(host, claim.id(), lastStep))
        .ifPresent(claim -> endUnfinished(closings.horizon(), closings.failure()));
    if (closings.closed(host)) {
      recovery.silent(host);
    }
  }

  private void endUnfinished(long after, @Nullable Failure failure) {
    if (failure != null) {
      roles().unfinishedAfter(after).forEach(step -> ends.fail(step, failure, false));
    }
  }

  /** A participant is done; with the last one the channel is over here. */
  void closed() {
    if (participants.stream().allMatch(LocalParticipant::closed)) {
      end();
    }
  }

  /** A host is lost: a channel that is not open everywhere fails, another one recovers. */
  void peerLost(String host, String reason) {
    if (ended || !binding.hosts().contains(host)) {
      return;
    }
    if (open) {
      recovery.lose(host, reason);
    } else {
      fail(text.lostHost(host, reason), true);
    }
  }

  /** The agent stops: the others go on without this host, as if it were lost. */
  void leave(Failure failure, String reason) {
    if (open && !ended) {
      recovery.leave(reason);
      fail(failure, false);
    } else {
      fail(failure, true);
    }
  }

  /** Ends the channel on this host, and with {@code tell} on all others. */
  void fail(Failure failure, boolean tell) {
    if (ended) {
      return;
    }
    boolean wasOpen = open;
    end();
    if (!wasOpen) {
      participants.forEach(
          participant -> registry.withdraw(participant, failure, binding.claims()));
      return;
    }
    if (tell) {
      tell(MessageKind.CHANNEL_FAIL, 0, ControlCodec.failure(failure));
    }
    participants.forEach(participant -> participant.channelOver(failure));
  }

  private void end() {
    if (ended) {
      return;
    }
    ended = true;
    inbox.clear();
    if (roles != null) {
      roles.end();
    }
    registry.over(this);
    dispose();
  }

  void pin() {
    pins++;
  }

  void unpin() {
    pins--;
    dispose();
  }

  private void dispose() {
    if (ended && pins == 0 && roles != null) {
      roles.close();
    }
  }

  /** Whether no step begins any more, as a host is lost. */
  boolean ending() {
    return recovery.losses().ending();
  }

  /** Something has ended: where hosts are lost, the channel may be over with it. */
  void touch() {
    if (ending()) {
      wake();
    }
  }

  /** Asks for a turn to send and copy. */
  void wake() {
    if (!queued && open && !ended) {
      queued = true;
      node.runnable().add(this);
    }
  }

  /** Sends and copies what can be; the number of chunks. */
  int pump() {
    queued = false;
    if (ended) {
      return 0;
    }
    int chunks = roles().pump();
    Failure finished = ended ? null : recovery.finished();
    if (finished != null) {
      tell(MessageKind.OVER, 0, ControlMessage.NO_PAYLOAD);
      fail(finished, false);
    } else if (!ended && roles().hasMore()) {
      wake();
    }
    return chunks;
  }

  long checksum(MemorySegment payload) {
    return node.checksums().of(payload);
  }

  void countSent(long bytes) {
    bulkBytesSent += bytes;
  }

  void countReceived(long bytes) {
    bulkBytesReceived += bytes;
  }

  EngineStatus.Channel status() {
    boolean closing = participants.stream().anyMatch(LocalParticipant::closing);
    return new EngineStatus.Channel(
        binding.name(),
        id(),
        !open ? "opening" : closing ? "closing" : "open",
        roles == null ? 0 : roles.live(),
        roles == null ? 0 : roles.receiptsOut(),
        bulkBytesSent,
        bulkBytesReceived);
  }
}
