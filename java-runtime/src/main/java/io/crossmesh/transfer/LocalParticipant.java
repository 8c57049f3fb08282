package io.crossmesh.transfer;

import io.crossmesh.Code;
import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A process of this host that takes part in a channel: what it has called, what it waits for, what
 * it holds. Calls of its handle become commands of the owner thread; calls made before the channel
 * is open wait for that.
 */
final class LocalParticipant implements ChannelHandle {
  private final Node node;
  private final Registry registry;
  private final ChannelOpen open;
  private final Participant process;
  private final PendingCalls pending;
  private final BitSet stagingInUse = new BitSet();
  private final Receipts receipts = new Receipts();
  private final ArrayDeque<Runnable> early = new ArrayDeque<>();
  private @Nullable Claim claim;
  private @Nullable Channel channel;
  private List<MemorySet> stagingSets = List.of();
  private int index;
  private long lastCalled = Long.MIN_VALUE;
  private boolean opened;
  private boolean closing;
  private boolean ended;

  LocalParticipant(Node node, Registry registry, ChannelOpen open, Participant process) {
    this.node = node;
    this.registry = registry;
    this.open = open;
    this.process = new GuardedParticipant(process);
    this.pending = new PendingCalls(node, open.stepTimeoutNanos(), this::late);
  }

  ChannelOpen open() {
    return open;
  }

  @Nullable Claim claim() {
    return claim;
  }

  void claim(Claim made) {
    claim = made;
  }

  /** The channel takes it over. */
  void bind(Channel bound, int indexOfSide) {
    channel = bound;
    index = indexOfSide;
  }

  /** Index among this host's participants of its side. */
  int index() {
    return index;
  }

  /** The greatest step it has called. */
  long lastCalled() {
    return lastCalled;
  }

  /** Whether it calls no more steps. */
  boolean closing() {
    return closing || ended;
  }

  /** Whether it is told nothing more. */
  boolean closed() {
    return ended;
  }

  MemorySet stagingSet(int set) {
    return stagingSets.get(set);
  }

  /** In the words of messages. */
  String who() {
    return "%s of %s host '%s'".formatted(open.owner(), open.side().word(), node.host());
  }

  @Override
  public void send(long step, int stagingSet) {
    whenOpen(() -> doSend(step, stagingSet));
  }

  @Override
  public void recv(long step) {
    whenOpen(() -> doRecv(step));
  }

  @Override
  public void release(long receipt) {
    node.commands().accept(() -> receipts.take(receipt));
  }

  @Override
  public void cancel(long step, Code code, String reason) {
    whenOpen(
        () ->
            bound()
                .ends()
                .fail(
                    step,
                    new Failure(
                        code,
                        "Step %d of %s was cancelled by %s: %s"
                            .formatted(step, bound().what(), who(), reason)),
                    true));
  }

  @Override
  public void abort(String reason) {
    end(Code.TRANSFER_CANCELLED, "was aborted by %s: %s".formatted(who(), reason));
  }

  @Override
  public void participantGone(String reason) {
    end(
        Code.PEER_LOST,
        "lost %s (%s); start it again and open the channel anew on both sides"
            .formatted(who(), reason));
    node.commands().accept(receipts::takeAll);
  }

  private void end(Code code, String what) {
    node.commands()
        .accept(
            () -> {
              if (closing()) {
                return;
              }
              Channel bound = channel;
              if (bound == null) {
                registry.withdraw(
                    this,
                    new Failure(code, "Channel '%s' %s".formatted(open.name(), what)),
                    List.of());
              } else {
                bound.fail(new Failure(code, "%s %s".formatted(bound.what(), what)), true);
              }
            });
  }

  @Override
  public void close() {
    node.commands().accept(this::doClose);
  }

  private void whenOpen(Runnable call) {
    node.commands()
        .accept(
            () -> {
              if (opened && !ended) {
                call.run();
              } else if (!ended) {
                early.add(call);
              }
            });
  }

  private Channel bound() {
    Channel present = channel;
    if (present == null) {
      throw new IllegalStateException("no channel yet");
    }
    return present;
  }

  private void doSend(long step, int set) {
    if (open.side() != Side.SRC || set < 0 || set >= stagingSets.size() || stagingInUse.get(set)) {
      String why =
          open.side() != Side.SRC
              ? "this end receives"
              : "staging set %d is not free; wait until it is told sent".formatted(set);
      process.onStepFailed(step, Code.INTERNAL, "Step %d cannot be sent: %s.".formatted(step, why));
      return;
    }
    stagingInUse.set(set);
    long before = lastCalled;
    Failure refused = call(step);
    if (refused != null) {
      bound().ends().refused(step);
      sent(step, set);
      failed(step, refused);
    } else {
      bound().send(this, before, step, set);
    }
  }

  private void doRecv(long step) {
    if (open.side() != Side.DST) {
      process.onStepFailed(
          step, Code.INTERNAL, "Step %d cannot be received: this end sends.".formatted(step));
      return;
    }
    long before = lastCalled;
    Failure refused = call(step);
    if (refused != null) {
      failed(step, refused);
    } else {
      bound().recv(this, before, step);
    }
  }

  /** Notes a call; why it fails at once, if it does. */
  private @Nullable Failure call(long step) {
    if (closing) {
      return new Failure(
          Code.TRANSFER_CANCELLED,
          "Step %d of %s: this end is closed.".formatted(step, bound().what()));
    }
    if (step <= lastCalled) {
      return new Failure(
          Code.STEP_MISMATCH,
          "Step %d of %s comes after step %d; number the steps of each side upwards."
              .formatted(step, bound().what(), lastCalled));
    }
    lastCalled = step;
    Failure over = bound().ends().over(step, open.side());
    if (over == null) {
      pending.add(step);
    }
    return over;
  }

  private void late(long step) {
    if (ended) {
      return;
    }
    Failure failure =
        new Failure(
            Code.TRANSFER_TIMEOUT,
            "Step %d of %s was not done within %.3f s of its call by %s: %s."
                .formatted(
                    step,
                    bound().what(),
                    open.stepTimeoutNanos().orElseThrow() / (double) TimeUnit.SECONDS.toNanos(1),
                    who(),
                    bound().lacks(step)));
    bound().ends().fail(step, failure, true);
    // Whatever the channel knows of the step, the call gets its answer.
    stepOver(step, failure);
  }

  private void doClose() {
    Channel bound = channel;
    if (closing()) {
      return;
    }
    if (bound == null || !opened) {
      Failure why =
          new Failure(
              Code.TRANSFER_CANCELLED,
              "Channel '%s' was closed by %s before it was open.".formatted(open.name(), who()));
      ended = true;
      if (bound == null) {
        registry.withdraw(this, why, List.of());
      } else {
        bound.fail(why, true);
      }
      process.onClosed();
      return;
    }
    if (open.side() == Side.DST) {
      Failure why =
          new Failure(
              Code.TRANSFER_CANCELLED, "%s closed its end of %s.".formatted(who(), bound.what()));
      pending.steps().forEach(step -> bound.ends().fail(step, why, true));
    }
    closing = true;
    bound.closing(this);
    closeIfIdle();
  }

  private void closeIfIdle() {
    if (closing && !ended && pending.isEmpty() && stagingInUse.isEmpty()) {
      ended = true;
      process.onClosed();
      bound().closed();
    }
  }

  /** The channel is open: calls that were made before take effect. */
  void opened(OpenInfo info, List<MemorySet> sets) {
    if (ended) {
      return;
    }
    opened = true;
    stagingSets = sets;
    process.onOpen(info);
    while (!early.isEmpty() && !ended) {
      early.poll().run();
    }
  }

  void sent(long step, int stagingSet) {
    if (!ended) {
      stagingInUse.clear(stagingSet);
      process.onSent(step, stagingSet);
      closeIfIdle();
    }
  }

  void delivered(long step) {
    if (!ended && pending.remove(step)) {
      process.onDelivered(step);
      closeIfIdle();
    }
  }

  void received(long step, SetPool pool, LandingSet set, boolean mustCopy) {
    if (!ended && pending.remove(step)) {
      process.onReceived(step, receipts.give(pool, set), set.memory().base(), mustCopy);
      closeIfIdle();
    }
  }

  /** Whether it has called a step and was told neither its success nor its failure. */
  boolean awaits(long step) {
    return pending.contains(step);
  }

  /** A step is over; it is told if it waits for it. */
  void stepOver(long step, Failure failure) {
    if (!ended && pending.remove(step)) {
      failed(step, failure);
      closeIfIdle();
    }
  }

  private void failed(long step, Failure failure) {
    process.onStepFailed(step, failure.code(), failure.message());
  }

  /** The channel is over. */
  void channelOver(Failure failure) {
    if (!ended) {
      ended = true;
      pending.clear();
      early.clear();
      process.onChannelFailed(failure.code(), failure.message());
    }
  }
}
