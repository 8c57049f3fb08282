package io.crossmesh.transfer;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The steps of a channel at a destination host.
 *
 * <p>Sets are granted to the lowest known steps first. All hosts do so and all see steps in
 * ascending order, so the lowest step that is not over always has its sets everywhere, and hosts
 * cannot wait for each other's. A step is handed over when it has landed and was forwarded: from
 * then on the memory is the receiver's alone.
 */
final class SinkSteps {
  /** Most steps known; a source has no more in flight than it has staging sets. */
  private static final int KNOWN_MAX = 1 << 16;

  private final Node node;
  private final Channel channel;
  private final HostPlan plan;
  private final SetPool pool;
  private final List<LocalParticipant> receivers;
  private final Starts starts;
  private final SinkChunks chunks;
  private final SinkRecovery recovery;
  private final @Nullable SinkDigests digests;
  private final TreeMap<Long, SinkStep> steps = new TreeMap<>();
  private final TreeSet<Long> waiting = new TreeSet<>();
  private final List<SinkStep> granted = new ArrayList<>();
  private long handedThrough = Long.MIN_VALUE;
  private boolean handsOverLater;

  SinkSteps(
      Node node,
      Channel channel,
      HostPlan plan,
      SetPool pool,
      List<LocalParticipant> receivers,
      List<String> sources,
      List<Link> links,
      @Nullable Digests digests) {
    this.node = node;
    this.channel = channel;
    this.plan = plan;
    this.pool = pool;
    this.receivers = receivers;
    this.starts = new Starts(sources);
    pool.whenFree(this::freed);
    this.chunks = new SinkChunks(node, channel, plan, pool, this, links);
    this.recovery = new SinkRecovery(channel, plan, this, chunks, starts);
    this.digests = digests == null ? null : new SinkDigests(channel, plan, digests, this);
  }

  SinkChunks chunks() {
    return chunks;
  }

  SinkRecovery recovery() {
    return recovery;
  }

  /** The steps that are known and not over. */
  List<SinkStep> all() {
    return new ArrayList<>(steps.values());
  }

  /** Those of them that have a set. */
  List<SinkStep> granted() {
    return new ArrayList<>(granted);
  }

  /** Whether a step is over here. */
  boolean isPast(long step) {
    return channel.ends().dead(step) != null || (step <= handedThrough && !steps.containsKey(step));
  }

  int live() {
    return steps.size();
  }

  /** The lowest step that every source host has begun. */
  long startedByAll() {
    return starts.all();
  }

  /** A process asks for a step that is neither dead nor before its last. */
  void recv(LocalParticipant receiver, long before, long step) {
    for (SinkStep earlier : new ArrayList<>(steps.subMap(before, false, step, false).values())) {
      if (!earlier.called().get(receiver.index())) {
        channel
            .ends()
            .mismatch(
                earlier.step(), step, "%s asked for step %d next".formatted(receiver.who(), step));
      }
    }
    for (int source = 0; source < starts.size(); source++) {
      SinkStep known = steps.get(step);
      if (starts.last(source) > step && (known == null || !known.started().get(source))) {
        channel.ends().mismatch(step, starts.last(source), starts.skipped(source));
      }
    }
    if (channel.ends().dead(step) == null) {
      SinkStep known = know(step);
      known.called().set(receiver.index());
      handOver(known);
      grantNext();
      recovery.judge(known);
    }
  }

  /** A source host has begun a step. */
  void start(String host, long step) {
    int source = starts.begin(host, step);
    if (source < 0) {
      node.drop();
      return;
    }
    for (SinkStep earlier : new ArrayList<>(steps.headMap(step).values())) {
      if (!earlier.started().get(source) && !earlier.doneSent()) {
        channel.ends().mismatch(earlier.step(), step, starts.skipped(source));
      }
    }
    boolean known = steps.containsKey(step);
    if (channel.ends().dead(step) != null
        || channel.recovery().givenUp(step) != null
        || (!known && (step <= handedThrough || steps.size() >= KNOWN_MAX))) {
      return;
    }
    for (LocalParticipant receiver : receivers) {
      if (!receiver.closing() && receiver.lastCalled() > step && !asked(receiver, step)) {
        channel
            .ends()
            .mismatch(
                step,
                receiver.lastCalled(),
                "%s asked for step %d without it".formatted(receiver.who(), receiver.lastCalled()));
        return;
      }
    }
    SinkStep begun = know(step);
    begun.started().set(source);
    if (passedOver(begun)) {
      return;
    }
    grantNext();
    whole(begun);
    recovery.judge(begun);
  }

  /** Whether another source host has begun a later step without this one, which ends both. */
  private boolean passedOver(SinkStep begun) {
    for (int source = 0; source < starts.size(); source++) {
      if (starts.last(source) > begun.step() && !begun.started().get(source)) {
        channel.ends().mismatch(begun.step(), starts.last(source), starts.skipped(source));
        return true;
      }
    }
    return false;
  }

  private boolean asked(LocalParticipant receiver, long step) {
    SinkStep known = steps.get(step);
    return known != null && known.called().get(receiver.index());
  }

  private SinkStep know(long step) {
    SinkStep known = steps.get(step);
    if (known == null) {
      known = new SinkStep(this, step);
      steps.put(step, known);
      waiting.add(step);
    }
    return known;
  }

  /** Reserves free sets for the lowest steps that have none. */
  private void grantNext() {
    while (!waiting.isEmpty()) {
      LandingSet set = pool.grant();
      if (set == null) {
        return;
      }
      Long number = waiting.pollFirst();
      SinkStep step = number == null ? null : steps.get(number);
      if (step == null) {
        throw new IllegalStateException("a step waits that is not known");
      }
      step.grant(set, chunks.incoming(step, set), plan.landingChunks(), plan.forwards());
      granted.add(step);
      node.outbox().grant(starts.sources(), channel.id(), step.step());
      // With nothing to land, the grant may be the last thing that was missing.
      whole(step);
      recovery.granted(step);
    }
  }

  private void freed() {
    grantNext();
    if (handsOverLater) {
      handsOverLater = false;
      granted().forEach(this::handOver);
    }
  }

  /** The granted step with this number; a walk, as there are only as many as the depth. */
  @Nullable SinkStep granted(long step) {
    for (int i = 0; i < granted.size(); i++) {
      if (granted.get(i).step() == step) {
        return granted.get(i);
      }
    }
    return null;
  }

  /** A chunk was copied here from a staging set of this host. */
  void copied(SinkStep step) {
    step.chunkLanded();
    whole(step);
  }

  /** A forwarded chunk has left. */
  void forwarded(SinkStep step, LandingSet set) {
    pool.retire(set);
    if (!step.over()) {
      handOver(step);
    }
  }

  /** Concludes the landing of a step if nothing is missing any more. */
  void whole(SinkStep step) {
    // With nothing to land, that all sources have begun is all there is to wait for.
    boolean begun = plan.landingChunks() > 0 || starts.begun(step, channel.losses());
    if (!step.over() && step.landed() && begun && verified(step)) {
      if (step.tellDone()) {
        node.outbox().done(starts.sources(), channel.id(), step.step());
      }
      // A process may sleep until it has the step; the sources are told meanwhile.
      handOver(step);
    }
  }

  private boolean verified(SinkStep step) {
    return digests == null || step.doneSent() || digests.verified(step);
  }

  /** A source host says what it staged. */
  void digests(String host, long step, byte[] payload) {
    SinkStep known = steps.get(step);
    if (digests == null || known == null) {
      node.drop();
    } else {
      digests.told(host, known, ControlCodec.readDigests(payload));
    }
  }

  private void handOver(SinkStep step) {
    LandingSet set = step.set();
    if (set == null || !step.doneSent() || !step.forwarded()) {
      return;
    }
    for (LocalParticipant receiver : receivers) {
      int index = receiver.index();
      if (!receiver.closed() && step.called().get(index) && !step.handed().get(index)) {
        if (step.handed().isEmpty()) {
          SetPool.HandOver what = pool.handOver(set);
          if (what == SetPool.HandOver.LATER) {
            handsOverLater = true;
            return;
          }
          step.mustCopy(what == SetPool.HandOver.COPY);
        }
        step.handed().set(index);
        receiver.received(step.step(), pool, set, step.mustCopy());
      }
    }
    conclude(step, set);
  }

  /** Lets a step go that every process that is still there has. */
  private void conclude(SinkStep step, LandingSet set) {
    for (LocalParticipant receiver : receivers) {
      if (!receiver.closing() && !step.handed().get(receiver.index())) {
        return;
      }
    }
    forget(step);
    handedThrough = Math.max(handedThrough, step.step());
    pool.ungrant(set);
    grantNext();
  }

  private void forget(SinkStep step) {
    step.end();
    chunks.forget(step.step());
    if (digests != null) {
      digests.forget(step.step());
    }
    steps.remove(step.step());
    waiting.remove(step.step());
    granted.remove(step);
    recovery.forget(step.step());
    channel.touch();
  }

  /** Whether the step is known and not handed over to everybody. */
  boolean isLive(long step) {
    return steps.containsKey(step);
  }

  /** The step is over for everybody. */
  void fail(long step) {
    SinkStep dead = steps.get(step);
    if (dead == null) {
      return;
    }
    forget(dead);
    LandingSet set = dead.set();
    if (set != null) {
      pool.ungrant(set);
    }
    grantNext();
  }

  /** Steps after {@code horizon} that have not landed whole. */
  List<Long> unfinishedAfter(long horizon) {
    List<Long> unfinished = new ArrayList<>();
    for (SinkStep step : steps.tailMap(horizon, false).values()) {
      if (!step.doneSent()) {
        unfinished.add(step.step());
      }
    }
    return unfinished;
  }

  /** A process has closed: steps that only it had not taken are done. */
  void receiverClosed() {
    for (SinkStep step : new ArrayList<>(steps.values())) {
      LandingSet set = step.set();
      if (set != null && step.doneSent() && step.forwarded()) {
        conclude(step, set);
      }
    }
  }

  /** Whether a step has landed and can be asked for, whoever has closed since. */
  boolean isWhole(long step) {
    SinkStep known = steps.get(step);
    return known != null && known.doneSent();
  }

  /** What a step waits for, in the words of messages. */
  String lacks(long step) {
    SinkStep known = steps.get(step);
    if (known == null) {
      return "";
    }
    if (known.set() == null) {
      return "every landing set is taken by earlier steps that were not received";
    }
    List<String> missing = starts.without(known);
    return missing.isEmpty()
        ? known.chunksLeft() + " of " + plan.landingChunks() + " chunks have not arrived"
        : "source hosts " + missing + " have not sent it";
  }

  /** The channel is over: nothing of it is wanted any more. */
  void end() {
    steps.values().forEach(SinkStep::end);
    steps.clear();
    waiting.clear();
    granted.clear();
  }
}
