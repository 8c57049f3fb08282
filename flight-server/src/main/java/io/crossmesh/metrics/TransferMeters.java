package io.crossmesh.metrics;

import io.crossmesh.Code;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.OpenInfo;
import io.crossmesh.transfer.Participant;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Timer;
import java.time.Duration;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.function.BiFunction;
import java.util.function.LongSupplier;

/**
 * Times the steps of channels from call to answer, as their processes see it, and counts how they
 * end: delivered, received or failed with which code.
 */
final class TransferMeters {
  private static final Duration[] BUCKETS = {
    Duration.ofNanos(100_000),
    Duration.ofNanos(300_000),
    Duration.ofMillis(1),
    Duration.ofMillis(3),
    Duration.ofMillis(10),
    Duration.ofMillis(30),
    Duration.ofMillis(100),
    Duration.ofMillis(300),
    Duration.ofSeconds(1),
    Duration.ofSeconds(3),
    Duration.ofSeconds(10),
    Duration.ofSeconds(30)
  };

  private final LongSupplier clock;
  private final Timer delivered;
  private final Timer received;
  private final Map<Code, Counter> failed = new EnumMap<>(Code.class);

  TransferMeters(MeterRegistry registry, LongSupplier clock) {
    this.clock = clock;
    this.delivered =
        timer(registry, "send", "From send() to the delivery at the last receiving host.");
    this.received = timer(registry, "recv", "From recv() to the hand-over of the step.");
    for (Code code : Code.values()) {
      failed.put(
          code,
          Counter.builder("crossmesh.transfer.failures")
              .description("Steps that ended with an error.")
              .tag("code", code.pythonName())
              .register(registry));
    }
  }

  private static Timer timer(MeterRegistry registry, String side, String description) {
    return Timer.builder("crossmesh.transfer.latency")
        .description(description)
        .tag("call", side)
        .serviceLevelObjectives(BUCKETS)
        .register(registry);
  }

  /** Opens a channel whose steps are measured. */
  ChannelHandle open(
      BiFunction<ChannelOpen, Participant, ChannelHandle> engine,
      ChannelOpen request,
      Participant participant) {
    StepClock steps = new StepClock();
    return new TimedHandle(
        engine.apply(request, new CountedParticipant(participant, steps)), steps);
  }

  private Counter failure(Code code) {
    return Objects.requireNonNull(failed.get(code), "every code has its counter");
  }

  private void record(Timer timer, StepClock steps, long step) {
    long nanos = steps.ended(step, clock.getAsLong());
    if (nanos != StepClock.UNKNOWN) {
      timer.record(nanos, TimeUnit.NANOSECONDS);
    }
  }

  private final class TimedHandle implements ChannelHandle {
    private final ChannelHandle channel;
    private final StepClock steps;

    TimedHandle(ChannelHandle channel, StepClock steps) {
      this.channel = channel;
      this.steps = steps;
    }

    @Override
    public void send(long step, int stagingSet) {
      steps.called(step, clock.getAsLong());
      channel.send(step, stagingSet);
    }

    @Override
    public void recv(long step) {
      steps.called(step, clock.getAsLong());
      channel.recv(step);
    }

    @Override
    public void release(long receipt) {
      channel.release(receipt);
    }

    @Override
    public void cancel(long step, Code code, String reason) {
      channel.cancel(step, code, reason);
    }

    @Override
    public void abort(String reason) {
      channel.abort(reason);
    }

    @Override
    public void close() {
      channel.close();
    }

    @Override
    public void participantGone(String reason) {
      channel.participantGone(reason);
    }
  }

  private final class CountedParticipant implements Participant {
    private final Participant process;
    private final StepClock steps;

    CountedParticipant(Participant process, StepClock steps) {
      this.process = process;
      this.steps = steps;
    }

    @Override
    public void onOpen(OpenInfo info) {
      process.onOpen(info);
    }

    @Override
    public void onSent(long step, int stagingSet) {
      process.onSent(step, stagingSet);
    }

    @Override
    public void onDelivered(long step) {
      process.onDelivered(step);
      record(delivered, steps, step);
    }

    @Override
    public void onReceived(long step, long receipt, long base, boolean mustCopy) {
      process.onReceived(step, receipt, base, mustCopy);
      record(received, steps, step);
    }

    @Override
    public void onStepFailed(long step, Code code, String message) {
      process.onStepFailed(step, code, message);
      failure(code).increment();
    }

    @Override
    public void onChannelFailed(Code code, String message) {
      process.onChannelFailed(code, message);
      failure(code).increment();
    }

    @Override
    public void onClosed() {
      process.onClosed();
    }
  }
}
