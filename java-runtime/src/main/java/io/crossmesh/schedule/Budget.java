package io.crossmesh.schedule;

import java.util.Arrays;
import java.util.stream.DoubleStream;

/** What each stage may hold, and whether a schedule keeps to it. */
public final class Budget {
  /** What sums of bytes that are no whole numbers may be off by. */
  private static final double ROUNDING = 1e-9;

  private final double[] cap;
  private final MemoryUse use;

  private Budget(double[] cap, MemoryUse use) {
    this.cap = cap;
    this.use = use;
  }

  /** No limit. */
  public static Budget unlimited(PipelineShape shape, MemoryUse use) {
    return new Budget(
        DoubleStream.generate(() -> Double.POSITIVE_INFINITY).limit(shape.stages()).toArray(), use);
  }

  /**
   * A limit.
   *
   * @param cap bytes for each stage, in the unit of {@code use}
   * @param use what a micro-batch holds
   */
  public static Budget of(PipelineShape shape, Series cap, MemoryUse use) {
    return new Budget(cap.perStage("memory", shape), use);
  }

  MemoryUse use() {
    return use;
  }

  /** Whether a stage may hold so much. */
  boolean allows(int stage, double bytes) {
    return bytes <= cap[stage] * (1 + ROUNDING);
  }

  boolean allows(Peaks peaks) {
    for (int stage = 0; stage < cap.length; stage++) {
      if (!allows(stage, peaks.bytes().get(stage))) {
        return false;
      }
    }
    return true;
  }

  /** Refuses a schedule that needs more on some stage, naming what would do. */
  public void require(Schedule schedule) {
    PipelineShape shape = schedule.shape();
    Peaks peaks = Peaks.of(shape, schedule.split(), schedule.ops(), use);
    for (int stage = 0; stage < cap.length; stage++) {
      double needed = peaks.bytes().get(stage);
      if (!allows(stage, needed)) {
        throw Refusal.of(
            "%s holds up to %d micro-batches and needs %s on stage %d, more than the cap of %s; raise memory to %s, use smaller micro-batches, or use adaptive, which keeps to a cap."
                .formatted(
                    schedule.family().id(),
                    peaks.activations().get(stage),
                    Refusal.plain(needed),
                    stage,
                    Refusal.plain(cap[stage]),
                    Refusal.plain(needed)));
      }
    }
  }

  /** Refuses a cap that no schedule keeps: each stage must hold one micro-batch of each part. */
  void holdsOne(PipelineShape shape) {
    double[] needed = new double[cap.length];
    for (int part = 0; part < shape.virtualStages(); part++) {
      needed[shape.stageOf(part)] += use.activation(part);
    }
    for (int stage = 0; stage < cap.length; stage++) {
      if (!allows(stage, needed[stage])) {
        throw Refusal.of(
            "One micro-batch needs %s on stage %d, more than the cap of %s; raise memory, or use smaller micro-batches."
                .formatted(Refusal.plain(needed[stage]), stage, Refusal.plain(cap[stage])));
      }
    }
  }

  @Override
  public String toString() {
    return "at most " + Arrays.toString(cap);
  }
}
