package io.crossmesh.schedule;

/**
 * Numbers for operations: kind, then virtual stage, then micro-batch. A transfer has the number of
 * the operation that consumes it, so transfers are numbered as forwards and backwards are.
 */
record Tasks(PipelineShape shape) {
  int count() {
    return transfers() + (shape.inference() ? 0 : shape.virtualStages() * shape.microbatches());
  }

  /** Forwards and backwards. */
  int transfers() {
    return (shape.inference() ? 1 : 2) * shape.virtualStages() * shape.microbatches();
  }

  int of(OpKind kind, int virtualStage, int microbatch) {
    return (kind.index() * shape.virtualStages() + virtualStage) * shape.microbatches()
        + microbatch;
  }

  int of(Op op) {
    return of(op.kind(), op.virtualStage(), op.microbatch());
  }

  int virtualStage(int task) {
    return task / shape.microbatches() % shape.virtualStages();
  }

  boolean isForward(int task) {
    return task < shape.virtualStages() * shape.microbatches();
  }

  boolean isWeight(int task) {
    return task >= 2 * shape.virtualStages() * shape.microbatches();
  }

  OpKind kind(int task) {
    return isForward(task) ? OpKind.FORWARD : isWeight(task) ? OpKind.WEIGHT : OpKind.BACKWARD;
  }

  int stage(int task) {
    return shape.stageOf(virtualStage(task));
  }

  Op op(int task) {
    return new Op(kind(task), task % shape.microbatches(), virtualStage(task));
  }

  /** The operation elsewhere in the model that waits for this one, or -1. */
  int consumer(int task) {
    int part = virtualStage(task);
    if (isWeight(task)) {
      return -1;
    }
    if (isForward(task)) {
      return part < shape.virtualStages() - 1 ? task + shape.microbatches() : -1;
    }
    return part > 0 ? task - shape.microbatches() : -1;
  }

  /** The operation whose result this one waits for across a boundary, or -1. */
  int producer(int task) {
    int part = virtualStage(task);
    if (isWeight(task)) {
      return -1;
    }
    if (isForward(task)) {
      return part > 0 ? task - shape.microbatches() : -1;
    }
    return part < shape.virtualStages() - 1 ? task + shape.microbatches() : -1;
  }

  /** The queue that carries the input of an operation: two for each boundary, forward first. */
  int queue(int task) {
    int part = virtualStage(task);
    return isForward(task) ? 2 * shape.stageOf(part - 1) : 2 * shape.stageOf(part) + 1;
  }
}
