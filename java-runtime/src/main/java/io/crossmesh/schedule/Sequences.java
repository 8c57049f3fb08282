package io.crossmesh.schedule;

/**
 * The order in which a stage runs its forwards, its backwards and its weight gradients, each by
 * itself, as numbers of {@link Tasks}. With virtual stages micro-batches go in groups of as many as
 * there are stages through each part in turn (Megatron-LM's order), backwards from the last part to
 * the first; schedules differ in how they merge the three.
 */
@SuppressWarnings("ArrayRecordComponent") // never compared, and read by loops over all operations
record Sequences(int[] forwards, int[] backwards, int[] weights) {
  static Sequences of(Tasks tasks, int stage) {
    PipelineShape shape = tasks.shape();
    int n = shape.stages();
    int m = shape.microbatches();
    int v = shape.virtual();
    if (v > 1 && m % n != 0) {
      throw Refusal.of(
          "Virtual stages need a multiple of %d micro-batches on %d stages, not %d; use for instance %d."
              .formatted(n, n, m, (m + n - 1) / n * n));
    }
    int group = v > 1 ? n : m;
    int[] forwards = new int[m * v];
    int[] backwards = new int[m * v];
    int[] weights = new int[m * v];
    int at = 0;
    for (int first = 0; first < m; first += group) {
      for (int part = 0; part < v; part++) {
        for (int k = first; k < first + group; k++) {
          forwards[at] = tasks.of(OpKind.FORWARD, part * n + stage, k);
          backwards[at] = tasks.of(OpKind.BACKWARD, (v - 1 - part) * n + stage, k);
          weights[at] = tasks.of(OpKind.WEIGHT, (v - 1 - part) * n + stage, k);
          at++;
        }
      }
    }
    return new Sequences(forwards, backwards, weights);
  }
}
