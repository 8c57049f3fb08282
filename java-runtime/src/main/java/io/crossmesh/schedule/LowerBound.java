package io.crossmesh.schedule;

/**
 * What a run is sure to take from what has been started. A stage has all its other operations left
 * to do; and after its last backward the gradient has to come to the first stage, over each
 * transfer and backward between.
 */
final class LowerBound {
  private final long most;
  private final long[] all;
  private final long[] passes;
  private final long[] after;

  /**
   * A bound for one run.
   *
   * @param most the ticks that a run may take
   */
  LowerBound(Tasks tasks, Timing timing, boolean split, long most) {
    this.most = most;
    PipelineShape shape = tasks.shape();
    all = new long[shape.stages()];
    passes = new long[shape.stages()];
    after = new long[shape.stages()];
    for (int part = 0; part < shape.virtualStages(); part++) {
      int stage = shape.stageOf(part);
      long forward = timing.op(OpKind.FORWARD, part, split);
      long backward = timing.op(OpKind.BACKWARD, part, split);
      long weight = split ? timing.op(OpKind.WEIGHT, part, true) : 0;
      passes[stage] += shape.microbatches() * (forward + backward);
      all[stage] += shape.microbatches() * (forward + backward + weight);
    }
    // With more parts on a stage the last backward of a stage need not be that of its last part.
    for (int stage = 1; stage < shape.stages() && shape.virtual() == 1; stage++) {
      after[stage] =
          after[stage - 1]
              + timing.sendBackward(stage - 1)
              + timing.op(OpKind.BACKWARD, stage - 1, split);
    }
  }

  /** Takes note of an operation that started; whether the run is sure to take too long. */
  boolean isBroken(int stage, OpKind kind, long ticks, long end) {
    all[stage] -= ticks;
    if (kind != OpKind.WEIGHT) {
      passes[stage] -= ticks;
    }
    boolean passesOn = kind != OpKind.WEIGHT || passes[stage] > 0;
    long rest = passesOn ? Math.max(all[stage], passes[stage] + after[stage]) : all[stage];
    return end + rest > most;
  }
}
