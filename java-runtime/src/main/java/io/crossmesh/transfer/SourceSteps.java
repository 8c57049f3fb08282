package io.crossmesh.transfer;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The steps of a channel at a source host. What a process stages leaves when every destination host
 * that this host's moves reach has granted a set: a chain never waits in its middle.
 */
final class SourceSteps {
  /** Most steps known only by grants; a peer that grants more is out of its mind. */
  private static final int KNOWN_MAX = 1 << 14;

  private static final long[] NO_CHECKSUMS = {};

  private final Channel channel;
  private final HostPlan plan;
  private final List<LocalParticipant> senders;
  private final List<String> destinations;
  private final BitSet reached = new BitSet();
  private final BitSet lost = new BitSet();
  private final List<Link> links;
  private final LocalCopier copier;
  private final @Nullable SourceDigests digests;
  private final Beginnings beginnings;
  private final TreeMap<Long, SourceStep> steps = new TreeMap<>();

  /** The greatest step that destination hosts were told of. */
  private long begun = -1;

  SourceSteps(
      Node node,
      Channel channel,
      HostPlan plan,
      List<LocalParticipant> senders,
      List<String> destinations,
      List<Link> links,
      LocalCopier copier,
      @Nullable Digests digests) {
    this.channel = channel;
    this.plan = plan;
    this.senders = senders;
    this.destinations = destinations;
    this.links = links;
    this.copier = copier;
    this.digests = digests == null ? null : new SourceDigests(node, channel, plan, digests);
    this.beginnings = new Beginnings(node, channel, plan, destinations, links);
    plan.reached().forEach(host -> reached.set(destinations.indexOf(host)));
  }

  int live() {
    return steps.size();
  }

  /** A process sends a step that is neither dead nor before its last. */
  void send(LocalParticipant sender, long before, long step, int stagingSet) {
    for (SourceStep earlier : new ArrayList<>(steps.subMap(before, false, step, false).values())) {
      if (earlier.part(sender.index()) == null && !earlier.delivered()) {
        channel
            .ends()
            .mismatch(earlier.step(), step, "%s sent step %d next".formatted(sender.who(), step));
      }
    }
    if (channel.ends().dead(step) != null) {
      tellOver(step);
      sender.sent(step, stagingSet);
      return;
    }
    SourceStep known = know(step);
    SourceStep.Part part = known.stage(this, sender, stagingSet, plan.movesStaged(sender.index()));
    launch(known);
    if (known.start()) {
      begun = Math.max(begun, step);
      beginnings.tell(step);
    }
    if (digests != null) {
      digests.staged(part, sender.stagingSet(stagingSet));
    }
    settle(part);
    conclude(known);
  }

  /**
   * A process sends a step that is over. Destination hosts are told that it has begun: who has not
   * heard of its end must not take it for passed over.
   */
  void tellOver(long step) {
    if (step > begun) {
      begun = step;
      beginnings.tell(step);
    }
  }

  private SourceStep know(long step) {
    return steps.computeIfAbsent(
        step,
        s -> {
          SourceStep made = new SourceStep(s, senders.size());
          made.granted().or(lost);
          made.without().or(lost);
          return made;
        });
  }

  /** A destination host has a set for a step. */
  void grant(String host, long step) {
    int destination = destinations.indexOf(host);
    boolean past = senders.stream().allMatch(s -> s.closing() || s.lastCalled() >= step);
    boolean known = steps.containsKey(step);
    if (destination < 0
        || channel.ends().dead(step) != null
        || (!known && (past || channel.ending() || steps.size() >= KNOWN_MAX))) {
      return;
    }
    SourceStep granted = know(step);
    granted.granted().set(destination);
    launch(granted);
  }

  /** A destination host has a step whole. */
  void done(String host, long step) {
    int destination = destinations.indexOf(host);
    SourceStep known = steps.get(step);
    if (destination < 0 || known == null) {
      return;
    }
    known.done().set(destination);
    known.without().clear(destination);
    conclude(known);
  }

  /** A destination host will not have a step. */
  void givenUp(String host, long step) {
    int destination = destinations.indexOf(host);
    SourceStep known = steps.get(step);
    if (destination >= 0 && known != null && !known.done().get(destination)) {
      known.without().set(destination);
      conclude(known);
    }
  }

  /** A destination host is lost: what it has not got by now it will not get. */
  void lose(String host) {
    int destination = destinations.indexOf(host);
    if (destination < 0) {
      return;
    }
    lost.set(destination);
    for (SourceStep step : new ArrayList<>(steps.values())) {
      if (!step.done().get(destination)) {
        step.granted().set(destination);
        step.without().set(destination);
        launch(step);
        conclude(step);
      }
    }
  }

  /** No more steps begin: those that not every process here has sent end for all. */
  void beginNoMore(Failure why) {
    for (SourceStep step : new ArrayList<>(steps.values())) {
      if (!step.started()) {
        steps.remove(step.step());
      } else if (senders.stream().anyMatch(sender -> step.part(sender.index()) == null)) {
        channel.ends().fail(step.step(), why, true);
      }
    }
  }

  /** Ends a step of which every destination host has said what became of it there. */
  private void conclude(SourceStep known) {
    if (known.over() || !known.settled(destinations.size())) {
      return;
    }
    if (known.without().isEmpty()) {
      known.deliver();
      settleAll(known);
      forgetIfDone(known);
    } else {
      Failure failure = channel.recovery().undelivered(known.step());
      fail(known.step());
      senders.forEach(sender -> sender.stepOver(known.step(), failure));
    }
  }

  private void settleAll(SourceStep step) {
    for (SourceStep.Part part : step.parts()) {
      if (part != null) {
        settle(part);
      }
    }
  }

  /** The step with this number, if it is known and not over. */
  @Nullable SourceStep step(long number) {
    return steps.get(number);
  }

  private void launch(SourceStep step) {
    BitSet missing = (BitSet) reached.clone();
    missing.andNot(step.granted());
    if (!missing.isEmpty()) {
      return;
    }
    for (SourceStep.Part part : step.parts()) {
      if (part != null && part.launch()) {
        launch(part);
      }
    }
  }

  private void launch(SourceStep.Part part) {
    int index = part.sender().index();
    MemorySet set = part.sender().stagingSet(part.stagingSet());
    long step = part.step().step();
    for (HostMove move : plan.origins()) {
      if (move.stager() == index) {
        OutMove out = new OutMove(part, step, move, set, null, NO_CHECKSUMS);
        if (!part.step().started()) {
          beginnings.prepare(out);
        }
        links.get(move.next()).offer(out);
      }
    }
    for (HostMove move : plan.locals()) {
      if (move.stager() == index) {
        copier.add(part, move, set);
      }
    }
  }

  /** Tells the process what has become true of its part. */
  void settle(SourceStep.Part part) {
    if (!part.settled()) {
      return;
    }
    SourceStep step = part.step();
    if (part.release()) {
      part.sender().sent(step.step(), part.stagingSet());
    }
    if (step.delivered() && !step.over()) {
      part.sender().delivered(step.step());
      forgetIfDone(step);
    }
  }

  private void forgetIfDone(SourceStep step) {
    if (!step.delivered()) {
      return;
    }
    for (LocalParticipant sender : senders) {
      SourceStep.Part part = step.part(sender.index());
      boolean done =
          part == null ? sender.closing() || sender.lastCalled() > step.step() : part.settled();
      if (!done) {
        return;
      }
    }
    steps.remove(step.step());
    channel.touch();
  }

  /** Whether the step is known and not delivered to everybody. */
  boolean isLive(long step) {
    return steps.containsKey(step);
  }

  /** The step is over for everybody. */
  void fail(long step) {
    SourceStep dead = steps.remove(step);
    if (dead == null) {
      return;
    }
    dead.end();
    settleAll(dead);
    channel.touch();
  }

  /** Steps after {@code horizon} that are not delivered. */
  List<Long> unfinishedAfter(long horizon) {
    List<Long> unfinished = new ArrayList<>();
    for (SourceStep step : steps.tailMap(horizon, false).values()) {
      if (!step.delivered()) {
        unfinished.add(step.step());
      }
    }
    return unfinished;
  }

  /** A process has closed: delivered steps that only it had not sent are done. */
  void senderClosed() {
    new ArrayList<>(steps.values()).forEach(this::forgetIfDone);
  }

  /** What a step waits for, in the words of messages. */
  String lacks(long step) {
    SourceStep known = steps.get(step);
    if (known == null) {
      return "";
    }
    List<String> without = new ArrayList<>();
    List<String> waiting = new ArrayList<>();
    for (int destination = 0; destination < destinations.size(); destination++) {
      if (!known.granted().get(destination)) {
        without.add(destinations.get(destination));
      } else if (!known.done().get(destination)) {
        waiting.add(destinations.get(destination));
      }
    }
    return without.isEmpty()
        ? "hosts " + waiting + " do not have it whole"
        : "hosts " + without + " have no free landing set, as earlier steps were not received";
  }

  /** The channel is over: nothing of it is sent any more. */
  void end() {
    steps.values().forEach(SourceStep::end);
    steps.clear();
  }
}
