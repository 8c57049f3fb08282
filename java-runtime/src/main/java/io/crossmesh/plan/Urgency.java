package io.crossmesh.plan;

import java.util.Arrays;
import java.util.List;

/**
 * The deadlines of a request as a few classes of tensors, the earliest needed first. A tensor
 * without a deadline is in the last.
 */
final class Urgency {
  /** Most classes: beyond that, neighbouring deadlines count as one. */
  static final int MAX_CLASSES = 8;

  private final double[] due;
  private final int[] classOf;
  private final int classes;

  Urgency(List<TensorReshard> tensors) {
    due = tensors.stream().mapToDouble(TensorReshard::due).toArray();
    double[] distinct = Arrays.stream(due).sorted().distinct().toArray();
    classes = Math.min(MAX_CLASSES, distinct.length);
    classOf =
        Arrays.stream(due)
            .mapToInt(d -> Arrays.binarySearch(distinct, d) * classes / distinct.length)
            .toArray();
  }

  /** Number of classes, at least 1. */
  int classes() {
    return classes;
  }

  /** 0 for what is needed first. */
  int classOf(Cell cell) {
    return classOf[cell.task().tensor()];
  }

  /** When the tensor of a slice is needed, in seconds; infinity if nothing waits. */
  double due(Cell cell) {
    return due[cell.task().tensor()];
  }

  /** What a plan achieves. */
  Outcome outcome(List<Move> moves) {
    double[] finish = new double[classes];
    double end = 0;
    double late = 0;
    for (Move move : moves) {
      int tensor = move.tensor();
      finish[classOf[tensor]] = Math.max(finish[classOf[tensor]], move.end());
      late = Math.max(late, move.end() - due[tensor]);
      end = Math.max(end, move.end());
    }
    return new Outcome(moves, end, late, Arrays.stream(finish).boxed().toList());
  }
}
