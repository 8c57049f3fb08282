package io.crossmesh.schedule;

import java.util.ArrayList;
import java.util.List;

/**
 * The order in which a stage runs its forwards, its backwards and its weight gradients, each by
 * itself. With virtual stages micro-batches go in groups of as many as there are stages through
 * each part in turn (Megatron-LM's order), backwards from the last part to the first; schedules
 * differ in how they merge the three.
 */
record Sequences(List<Op> forwards, List<Op> backwards, List<Op> weights) {
  static Sequences of(PipelineShape shape, int stage) {
    int n = shape.stages();
    int m = shape.microbatches();
    int v = shape.virtual();
    if (v > 1 && m % n != 0) {
      throw Refusal.of(
          "Virtual stages need a multiple of %d micro-batches on %d stages, not %d; use for instance %d."
              .formatted(n, n, m, (m + n - 1) / n * n));
    }
    int group = v > 1 ? n : m;
    List<Op> forwards = new ArrayList<>(m * v);
    List<Op> backwards = new ArrayList<>(m * v);
    List<Op> weights = new ArrayList<>(m * v);
    for (int first = 0; first < m; first += group) {
      for (int part = 0; part < v; part++) {
        for (int k = first; k < first + group; k++) {
          forwards.add(new Op(OpKind.FORWARD, k, part * n + stage));
          backwards.add(new Op(OpKind.BACKWARD, k, (v - 1 - part) * n + stage));
          weights.add(new Op(OpKind.WEIGHT, k, (v - 1 - part) * n + stage));
        }
      }
    }
    return new Sequences(forwards, backwards, weights);
  }
}
