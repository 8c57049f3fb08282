package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What one host does in a channel: as a source, as a destination, or as both at once. Made when the
 * plan is there, with all the memory that the channel will need.
 */
final class Roles implements AutoCloseable {
  private final Node node;
  private final Preparation prepared;
  private final HostPlan plan;
  private final ChannelMemory memory;
  private final LocalCopier copier;
  private final @Nullable Digests digests;
  private final List<Link> links = new ArrayList<>();
  private final @Nullable SourceSteps source;
  private final @Nullable SinkSteps sink;
  private final Holdings holdings;

  /**
   * @param prepared closed with this
   * @throws CrossmeshException PEER_LOST when a neighbour is not connected
   */
  Roles(
      Node node,
      Channel channel,
      Binding binding,
      Preparation prepared,
      List<LocalParticipant> senders,
      List<LocalParticipant> receivers) {
    this.node = node;
    this.prepared = prepared;
    plan = prepared.plan();
    memory = prepared.memory();
    List<Integer> down = plan.downstream().stream().map(this::peer).toList();
    List<Integer> up = plan.upstream().stream().map(this::peer).toList();
    int window = node.options().chunksInFlight();
    for (int next = 0; next < down.size(); next++) {
      links.add(new Link(node, channel, down.get(next), window, memory.down(next)));
    }
    copier = new LocalCopier(channel, memory.local().isEmpty() ? null : memory.local().getFirst());
    digests = binding.verified() ? new Digests(channel) : null;
    source =
        senders.isEmpty()
            ? null
            : new SourceSteps(
                node, channel, plan, senders, binding.hosts(Side.DST), links, copier, digests);
    sink = receivers.isEmpty() ? null : sink(channel, binding, receivers, up);
    holdings = new Holdings(node, channel, plan, binding.hosts(Side.DST), source, sink);
  }

  private SinkSteps sink(
      Channel channel, Binding binding, List<LocalParticipant> receivers, List<Integer> up) {
    SinkSteps steps =
        new SinkSteps(
            node,
            channel,
            plan,
            memory.landing(),
            receivers,
            binding.hosts(Side.SRC),
            links,
            digests);
    for (int previous = 0; previous < up.size(); previous++) {
      steps.chunks().addUpstream(up.get(previous), memory.up(previous));
    }
    copier.into(steps);
    return steps;
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

  /** What a participant is told when the channel opens. */
  OpenInfo info(long channel, LocalParticipant process) {
    boolean sends = process.open().side() == Side.SRC;
    SetLayout layout = sends ? plan.staging().get(process.index()) : plan.landing();
    return new OpenInfo(
        plan.plan(),
        channel,
        prepared.tiles(process),
        layout.bytes(),
        stagingSets(process).stream().map(MemorySet::base).toList());
  }

  /** The staging sets of a participant; none for a receiver. */
  List<MemorySet> stagingSets(LocalParticipant process) {
    return process.open().side() == Side.SRC ? memory.staging(process.index()) : List.of();
  }

  @Nullable SourceSteps source() {
    return source;
  }

  @Nullable SinkSteps sink() {
    return sink;
  }

  /** What this host gives to others that ask for it. */
  Holdings holdings() {
    return holdings;
  }

  /** The tensor that a move brings a part of. */
  String tensor(int move) {
    int tensor = plan.plan().moves().get(move).tensor();
    return plan.plan().request().tensors().get(tensor).tensor().key();
  }

  /** A host of the channel is lost. */
  void lose(String host) {
    int next = plan.downstream().indexOf(host);
    if (next >= 0) {
      links.get(next).lose();
    }
    if (source != null) {
      source.lose(host);
    }
    if (sink != null) {
      sink.recovery().lose(host);
    }
  }

  /** Whether no step is left, and none can come, when no source host begins more than it says. */
  boolean idle() {
    return (source == null || source.live() == 0)
        && (sink == null || (sink.live() == 0 && sink.recovery().silent()));
  }

  /** Whether a step is known here and not over. */
  boolean isLive(long step) {
    return (source != null && source.isLive(step)) || (sink != null && sink.isLive(step));
  }

  /** Whether a step has landed and can be asked for, whoever has closed since. */
  boolean isWhole(long step) {
    return sink != null && sink.isWhole(step);
  }

  /** Steps that are known here and not over. */
  int live() {
    return (source == null ? 0 : source.live()) + (sink == null ? 0 : sink.live());
  }

  /** The lowest step that every source host has begun; the largest number without the role. */
  long startedByAll() {
    return sink == null ? Long.MAX_VALUE : sink.startedByAll();
  }

  int receiptsOut() {
    return memory.landing().receiptsOut();
  }

  /** A step is over for everybody. */
  void fail(long step) {
    if (source != null) {
      source.fail(step);
    }
    if (sink != null) {
      sink.fail(step);
    }
  }

  /** Steps after {@code horizon} that are not whole on all hosts, or not on this one. */
  List<Long> unfinishedAfter(long horizon) {
    List<Long> unfinished = new ArrayList<>();
    if (source != null) {
      unfinished.addAll(source.unfinishedAfter(horizon));
    }
    if (sink != null) {
      unfinished.addAll(sink.unfinishedAfter(horizon));
    }
    return unfinished;
  }

  /** What a step waits for, in the words of messages. */
  String lacks(long step) {
    String sending = source == null ? "" : source.lacks(step);
    String landing = sink == null ? "" : sink.lacks(step);
    return sending + (sending.isEmpty() || landing.isEmpty() ? "" : "; ") + landing;
  }

  /** A process of this host takes part in no more steps: those that waited only for it are done. */
  void participantClosing() {
    if (source != null) {
      source.senderClosed();
    }
    if (sink != null) {
      sink.receiverClosed();
    }
  }

  /** Sends and copies what can be; the number of chunks. */
  int pump() {
    int chunks = copier.pump(node.options().copyBytesPerTurn());
    if (digests != null) {
      chunks += digests.pump(node.options().copyBytesPerTurn());
    }
    for (int i = 0; i < links.size(); i++) {
      chunks += links.get(i).pump();
    }
    return chunks;
  }

  /** Whether copies inside the host, or digests, wait for a turn. */
  boolean hasMore() {
    return !copier.idle() || (digests != null && !digests.idle());
  }

  /** The channel is over: nothing is sent or landed any more. */
  void end() {
    if (source != null) {
      source.end();
    }
    if (sink != null) {
      sink.end();
    }
  }

  /** Gives the memory back; nothing is in flight any more. */
  @Override
  public void close() {
    memory.close();
  }
}
