package io.crossmesh.schedule;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Numbers for operations: kind, then virtual stage, then micro-batch. A transfer has the number of
 * the operation that consumes it, so transfers are numbered as forwards and backwards are.
 *
 * <p>All micro-batches of a kind and a virtual stage are a group, of which everything but the
 * micro-batch is known beforehand.
 */
final class Tasks {
  private final PipelineShape shape;
  private final int microbatches;
  private final int parts;
  private final int transfers;
  private final int count;
  private final OpKind[] kind;
  private final int[] stage;
  private final int[] queue;
  private final int[] toProducer;
  private final int[] toConsumer;

  Tasks(PipelineShape shape) {
    this.shape = shape;
    microbatches = shape.microbatches();
    parts = shape.virtualStages();
    transfers = (shape.inference() ? 1 : 2) * parts * microbatches;
    count = transfers + (shape.inference() ? 0 : parts * microbatches);
    int groups = OpKind.COUNT * parts;
    kind = new OpKind[groups];
    stage = new int[groups];
    queue = new int[groups];
    toProducer = new int[groups];
    toConsumer = new int[groups];
    for (int group = 0; group < groups; group++) {
      int part = group % parts;
      kind[group] = OpKind.at(group / parts);
      stage[group] = shape.stageOf(part);
      boolean first = part == 0;
      boolean last = part == parts - 1;
      switch (kind[group]) {
        case FORWARD -> {
          queue[group] = first ? -1 : 2 * shape.stageOf(part - 1);
          toProducer[group] = first ? 0 : -microbatches;
          toConsumer[group] = last ? 0 : microbatches;
        }
        case BACKWARD -> {
          queue[group] = 2 * stage[group] + 1;
          toProducer[group] = last ? 0 : microbatches;
          toConsumer[group] = first ? 0 : -microbatches;
        }
        case WEIGHT -> queue[group] = -1;
      }
    }
  }

  PipelineShape shape() {
    return shape;
  }

  int count() {
    return count;
  }

  /** Forwards and backwards. */
  int transfers() {
    return transfers;
  }

  /** Kinds and virtual stages, each with each. */
  int groups() {
    return kind.length;
  }

  int group(int task) {
    return task / microbatches;
  }

  int of(OpKind kind, int virtualStage, int microbatch) {
    return (kind.index() * parts + virtualStage) * microbatches + microbatch;
  }

  int of(Op op) {
    return of(op.kind(), op.virtualStage(), op.microbatch());
  }

  int virtualStage(int task) {
    return group(task) % parts;
  }

  boolean isForward(int task) {
    return task < parts * microbatches;
  }

  OpKind kind(int task) {
    return kind[group(task)];
  }

  int stage(int task) {
    return stage[group(task)];
  }

  Op op(int task) {
    return new Op(kind(task), task % microbatches, virtualStage(task));
  }

  /** The operation elsewhere in the model that waits for this one, or -1. */
  int consumer(int task) {
    int away = toConsumer[group(task)];
    return away == 0 ? -1 : task + away;
  }

  /** The operation whose result this one waits for across a boundary, or -1. */
  int producer(int task) {
    int away = toProducer[group(task)];
    return away == 0 ? -1 : task + away;
  }

  /** The queue that carries the input of an operation: two for each boundary, forward first. */
  int queue(int task) {
    return queue[group(task)];
  }

  /** The numbers of the operations in lists. */
  int[][] of(List<List<Op>> ops) {
    int[][] lists = new int[ops.size()][];
    for (int i = 0; i < lists.length; i++) {
      int[] list = new int[ops.get(i).size()];
      int at = 0;
      for (Op op : ops.get(i)) {
        list[at++] = of(op);
      }
      lists[i] = list;
    }
    return lists;
  }

  /** The operations in lists of numbers. */
  List<List<Op>> ops(int[][] lists) {
    List<List<Op>> ops = new ArrayList<>(lists.length);
    for (int[] list : lists) {
      Op[] made = new Op[list.length];
      for (int i = 0; i < made.length; i++) {
        made[i] = op(list[i]);
      }
      ops.add(Arrays.asList(made));
    }
    return ops;
  }
}
