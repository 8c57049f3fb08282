package io.crossmesh.transfer;

import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Which steps of a channel are over on this host before everybody here has called them, and why: as
 * somebody ended them for all, as a participant has closed, or as a host is lost.
 */
final class StepEnds {
  private final Channel channel;
  private final List<LocalParticipant> senders;
  private final List<LocalParticipant> receivers;
  private final List<LocalParticipant> participants;
  private final Closings closings;
  private final Recovery recovery;
  private final DeadSteps dead = new DeadSteps();

  StepEnds(
      Channel channel,
      List<LocalParticipant> senders,
      List<LocalParticipant> receivers,
      Closings closings,
      Recovery recovery) {
    this.channel = channel;
    this.senders = List.copyOf(senders);
    this.receivers = List.copyOf(receivers);
    this.participants = Stream.concat(senders.stream(), receivers.stream()).toList();
    this.closings = closings;
    this.recovery = recovery;
  }

  /** Why a step that somebody ended for all is dead, if it is. */
  @Nullable Failure dead(long step) {
    return dead.get(step);
  }

  /** Why a step is over for one side before it is called, if it is. */
  @Nullable Failure over(long step, Side side) {
    Failure failure = dead.get(step);
    // A source that had no part in a step which is whole here forgets it with the first loss.
    boolean kept = side == Side.DST || !channel.ending();
    if (failure != null || (kept && channel.roles().isWhole(step))) {
      return failure;
    }
    Failure closed = closings.over(step);
    return closed != null ? closed : recovery.over(step, side);
  }

  /** Ends a step on this host, and with {@code tell} on all others. */
  void fail(long step, Failure failure, boolean tell) {
    if (!channel.isOpen() || channel.ended() || dead.get(step) != null) {
      return;
    }
    boolean past = participants.stream().allMatch(p -> p.closing() || p.lastCalled() >= step);
    boolean awaited = participants.stream().anyMatch(p -> p.awaits(step));
    if (past && !awaited && !channel.roles().isLive(step)) {
      return;
    }
    dead.add(step, failure);
    channel.roles().fail(step);
    if (tell) {
      channel.tell(MessageKind.STEP_FAIL, step, ControlCodec.failure(failure));
    }
    for (LocalParticipant participant : participants) {
      participant.stepOver(step, failure);
    }
  }

  /** Ends two steps that the parties do not agree on, or no longer can. */
  void mismatch(long step, long later, String why) {
    Failure failure =
        channel.ending() ? channel.losses().failure() : channel.text().mismatch(step, later, why);
    fail(step, failure, true);
    fail(later, failure, true);
  }

  /** Tells the processes of one side that a step is over for them. */
  void tellProcesses(Side side, long step, Failure failure) {
    for (LocalParticipant participant : side == Side.SRC ? senders : receivers) {
      participant.stepOver(step, failure);
    }
  }

  /** Says again which steps are dead: a host that was lost may have told only some. */
  void tellAgain() {
    dead.forEach(
        (step, failure) ->
            channel.tell(MessageKind.STEP_FAIL, step, ControlCodec.failure(failure)));
  }

  /** A process sends a step that it may not, perhaps since it is over. */
  void refused(long step) {
    SourceSteps source =
        dead.get(step) == null || channel.ending() ? null : channel.roles().source();
    if (source != null) {
      source.tellOver(step);
    }
  }

  /** Forgets steps that neither a process here nor a source host can begin any more. */
  void forget() {
    long through = channel.roles().startedByAll();
    for (LocalParticipant participant : participants) {
      through = participant.closing() ? through : Math.min(through, participant.lastCalled());
    }
    dead.forgetThrough(through);
    recovery.forgetThrough(through);
  }
}
