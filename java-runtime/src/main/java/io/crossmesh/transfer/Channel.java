package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.plan.Plan;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
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
  private record Early(String host, ControlMessage message) {}

  private final Node node;
  private final Registry registry;
  private final Binding binding;
  private final List<LocalParticipant> senders;
  private final List<LocalParticipant> receivers;
  private final ChannelOpening opening;
  private final Closings closings;
  private final DeadSteps deadSteps = new DeadSteps();
  private final ArrayDeque<Early> early = new ArrayDeque<>();
  private final List<Link> links = new ArrayList<>();
  private @Nullable ChannelMemory memory;
  private @Nullable HostPlan plan;
  private @Nullable SourceSteps source;
  private @Nullable SinkSteps sink;
  private @Nullable LocalCopier copier;
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
    this.closings = new Closings(binding);
    this.opening = new ChannelOpening(node, this, binding);
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
    int more = binding.request().tensors().size() - 1;
    return "channel '%s' (%s%s)"
        .formatted(
            binding.name(),
            binding.request().tensors().getFirst().describe(),
            more > 0 ? " and " + more + " more" : "");
  }

  private List<LocalParticipant> participants() {
    List<LocalParticipant> all = new ArrayList<>(senders);
    all.addAll(receivers);
    return all;
  }

  /**
   * Reserves everything this host needs.
   *
   * @throws CrossmeshException ARENA_FULL, or PEER_LOST when a host of the channel is not connected
   */
  void reserve(Plan made) {
    HostPlan host =
        new HostPlan(
            made, node.host(), senders.stream().map(sender -> sender.open().devices()).toList());
    int depth = receivers.stream().mapToInt(r -> r.open().depth()).max().orElse(0);
    List<Integer> down = host.downstream().stream().map(this::peer).toList();
    List<Integer> up = host.upstream().stream().map(this::peer).toList();
    ChannelMemory reserved = new ChannelMemory(node, binding.name(), host, depth, senders);
    int window = node.options().chunksInFlight();
    for (int next = 0; next < down.size(); next++) {
      links.add(new Link(node, this, down.get(next), window, reserved.down(next)));
    }
    LocalCopier copies =
        new LocalCopier(this, reserved.local().isEmpty() ? null : reserved.local().getFirst());
    if (!senders.isEmpty()) {
      source = new SourceSteps(node, this, host, senders, binding.hosts(Side.DST), links, copies);
    }
    if (!receivers.isEmpty()) {
      SinkSteps steps =
          new SinkSteps(
              node, this, host, reserved.landing(), receivers, binding.hosts(Side.SRC), links);
      for (int previous = 0; previous < up.size(); previous++) {
        steps.addUpstream(new Upstream(this, steps, up.get(previous), reserved.up(previous)));
      }
      copies.into(steps);
      sink = steps;
    }
    memory = reserved;
    plan = host;
    copier = copies;
  }

  private int peer(String host) {
    Peer peer = node.peers().ofHost(host);
    if (peer == null || !peer.connected()) {
      throw new CrossmeshException(
          Code.PEER_LOST,
          "host '%s' is not connected; see whether its agent runs and is in the cluster's list"
              .formatted(host));
    }
    return peer.index();
  }

  /** Every host is ready. */
  void open() {
    HostPlan host = plan;
    ChannelMemory reserved = memory;
    if (open || ended || host == null || reserved == null) {
      return;
    }
    open = true;
    for (LocalParticipant sender : senders) {
      SetLayout layout = host.staging().get(sender.index());
      List<MemorySet> sets = reserved.staging(sender.index());
      sender.opened(info(host, layout, sender, sets), sets);
    }
    for (LocalParticipant receiver : receivers) {
      receiver.opened(info(host, host.landing(), receiver, List.of()), List.of());
    }
    while (!early.isEmpty() && !ended) {
      Early first = early.poll();
      message(first.host, first.message);
    }
  }

  private OpenInfo info(
      HostPlan host, SetLayout layout, LocalParticipant process, List<MemorySet> sets) {
    return new OpenInfo(
        host.plan(),
        id(),
        layout.tilesOf(process.open().devices()),
        layout.bytes(),
        sets.stream().map(MemorySet::base).toList());
  }

  void send(LocalParticipant sender, long before, long step, int stagingSet) {
    SourceSteps steps = source;
    if (steps != null) {
      steps.send(sender, before, step, stagingSet);
      forget();
    }
  }

  void recv(LocalParticipant receiver, long before, long step) {
    SinkSteps steps = sink;
    if (steps != null) {
      steps.recv(receiver, before, step);
      forget();
    }
  }

  /** Forgets dead steps that neither a process here nor a source host can begin any more. */
  private void forget() {
    long through = sink == null ? Long.MAX_VALUE : sink.startedByAll();
    for (LocalParticipant participant : participants()) {
      through = participant.closing() ? through : Math.min(through, participant.lastCalled());
    }
    deadSteps.forgetThrough(through);
  }

  /** Takes a message of a host of this channel. */
  void message(String host, ControlMessage message) {
    if (ended || !binding.hosts().contains(host)) {
      node.drop();
      return;
    }
    if (message.kind() == MessageKind.READY) {
      opening.ready(host, ControlCodec.readDigest(message.payload()));
    } else if (message.kind() == MessageKind.CHANNEL_FAIL) {
      fail(ControlCodec.readFailure(message.payload()), false);
    } else if (!open) {
      early.add(new Early(host, message));
    } else {
      stepMessage(host, message);
    }
  }

  private void stepMessage(String host, ControlMessage message) {
    SourceSteps sending = source;
    SinkSteps landing = sink;
    long step = message.step();
    switch (message.kind()) {
      case START -> {
        if (landing != null && closings.over(step) == null) {
          landing.start(host, step);
          forget();
        }
      }
      case GRANT -> {
        if (sending != null && closings.over(step) == null) {
          sending.grant(host, step);
        }
      }
      case DONE -> {
        if (sending != null) {
          sending.done(host, step);
        }
      }
      case STEP_FAIL -> failStep(step, ControlCodec.readFailure(message.payload()), false);
      case CLOSE -> close(host, step, ControlCodec.readNumber(message.payload()));
      default -> node.drop();
    }
  }

  /** Answers where a chunk goes. */
  Transport.Landing chunk(WireHeader header, Peer peer) {
    SinkSteps steps = sink;
    if (!open || ended || steps == null) {
      node.drop();
      return Transport.Landing.DISCARD;
    }
    return steps.chunk(header, peer);
  }

  /** Why a step is over before it is called, if it is. */
  @Nullable Failure over(long step) {
    Failure dead = deadSteps.get(step);
    if (dead != null || (sink != null && sink.isWhole(step))) {
      return dead;
    }
    return closings.over(step);
  }

  /** Why a step is dead, if it is. */
  @Nullable Failure dead(long step) {
    return deadSteps.get(step);
  }

  /** Ends a step on this host, and with {@code tell} on all others. */
  void failStep(long step, Failure failure, boolean tell) {
    boolean live = (source != null && source.isLive(step)) || (sink != null && sink.isLive(step));
    boolean past = participants().stream().allMatch(p -> p.closing() || p.lastCalled() >= step);
    if (!open || ended || deadSteps.get(step) != null || (!live && past)) {
      return;
    }
    deadSteps.add(step, failure);
    if (source != null) {
      source.fail(step);
    }
    if (sink != null) {
      sink.fail(step);
    }
    if (tell) {
      tell(MessageKind.STEP_FAIL, step, ControlCodec.failure(failure));
    }
    for (LocalParticipant participant : participants()) {
      participant.stepOver(step, failure);
    }
  }

  /** Ends two steps that the parties do not agree on. */
  void mismatch(long step, long later, String why) {
    Failure failure =
        new Failure(
            Code.STEP_MISMATCH,
            ("Step %d of %s cannot be completed: %s. Steps %d and %d are over; give both ends the"
                    + " same step numbers.")
                .formatted(step, what(), why, step, later));
    failStep(step, failure, true);
    failStep(later, failure, true);
  }

  /** The failure of steps that lost a chunk. */
  Failure lostFailure(String reason) {
    return new Failure(
        Code.PEER_LOST,
        "Host '%s' lost the connection to another host of %s: %s. See whether all agents run."
            .formatted(node.host(), what(), reason));
  }

  /** What a step waits for, in the words of messages. */
  String lacks(long step) {
    String sending = source == null ? "" : source.lacks(step);
    String landing = sink == null ? "" : sink.lacks(step);
    return sending + (sending.isEmpty() || landing.isEmpty() ? "" : "; ") + landing;
  }

  private void tell(MessageKind kind, long step, byte[] payload) {
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
    if (source != null) {
      source.senderClosed();
    }
    if (sink != null) {
      sink.receiverClosed();
    }
  }

  private void close(String host, long lastStep, long number) {
    binding.claims().stream()
        .filter(claim -> claim.host().equals(host) && claim.id().number() == number)
        .findFirst()
        .filter(claim -> closings.add(host, claim.id(), lastStep, what()))
        .ifPresent(claim -> endUnfinished(closings.horizon(), closings.failure()));
  }

  private void endUnfinished(long after, @Nullable Failure failure) {
    List<Long> unfinished = new ArrayList<>();
    if (source != null) {
      unfinished.addAll(source.unfinishedAfter(after));
    }
    if (sink != null) {
      unfinished.addAll(sink.unfinishedAfter(after));
    }
    if (failure != null) {
      unfinished.forEach(step -> failStep(step, failure, false));
    }
  }

  /** A participant is done; with the last one the channel is over here. */
  void closed() {
    if (participants().stream().allMatch(LocalParticipant::closed)) {
      end();
    }
  }

  /** A host is lost: that ends the channel, unless the host had closed its part of it. */
  void peerLost(String host, String reason) {
    if (ended || !binding.hosts().contains(host)) {
      return;
    }
    Failure failure =
        new Failure(
            Code.PEER_LOST,
            "Host '%s' is lost (%s): %s cannot go on. Start its agent again and open the channel anew."
                .formatted(host, reason, what()));
    if (closings.closed(host)) {
      endUnfinished(Long.MIN_VALUE, failure);
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
      participants().forEach(participant -> registry.withdraw(participant, failure));
      return;
    }
    if (tell) {
      tell(MessageKind.CHANNEL_FAIL, 0, ControlCodec.failure(failure));
    }
    participants().forEach(participant -> participant.channelOver(failure));
  }

  private void end() {
    if (ended) {
      return;
    }
    ended = true;
    early.clear();
    if (source != null) {
      source.end();
    }
    if (sink != null) {
      sink.end();
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
    if (ended && pins == 0 && memory != null) {
      memory.close();
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
    int chunks = 0;
    for (int i = 0; i < links.size() && !ended; i++) {
      chunks += links.get(i).pump();
    }
    LocalCopier copies = copier;
    if (copies != null && !ended) {
      chunks += copies.pump(node.options().copyBytesPerTurn());
      if (!copies.idle()) {
        wake();
      }
    }
    return chunks;
  }

  void countSent(long bytes) {
    bulkBytesSent += bytes;
  }

  void countReceived(long bytes) {
    bulkBytesReceived += bytes;
  }

  EngineStatus.Channel status() {
    int live = (source == null ? 0 : source.live()) + (sink == null ? 0 : sink.live());
    int receipts = memory == null ? 0 : memory.landing().receiptsOut();
    boolean closing = participants().stream().anyMatch(LocalParticipant::closing);
    return new EngineStatus.Channel(
        binding.name(),
        id(),
        !open ? "opening" : closing ? "closing" : "open",
        live,
        receipts,
        bulkBytesSent,
        bulkBytesReceived);
  }
}
