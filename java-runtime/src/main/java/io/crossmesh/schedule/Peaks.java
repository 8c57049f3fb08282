package io.crossmesh.schedule;

import java.util.List;

/**
 * The most that each stage holds. What counts as held: a micro-batch of a virtual stage from the
 * start of its forward to the end of its backward, or of its weight gradient where that is apart. A
 * stage runs one operation at a time, so its list alone decides, whatever the times.
 *
 * @param activations micro-batches (of one virtual stage each) held at once, for each stage
 * @param bytes the same in bytes
 */
record Peaks(List<Integer> activations, List<Double> bytes) {
  static Peaks of(PipelineShape shape, boolean split, List<List<Op>> ops, MemoryUse use) {
    Tasks tasks = new Tasks(shape);
    return of(tasks, split, tasks.of(ops), use);
  }

  static Peaks of(Tasks tasks, boolean split, int[][] lists, MemoryUse use) {
    boolean inference = tasks.shape().inference();
    Integer[] activations = new Integer[lists.length];
    Double[] bytes = new Double[lists.length];
    for (int stage = 0; stage < lists.length; stage++) {
      int live = 0;
      int most = 0;
      double held = 0;
      double mostHeld = 0;
      for (int task : lists[stage]) {
        double activation = use.activation(tasks.virtualStage(task));
        double residual = use.residual(tasks.virtualStage(task));
        switch (tasks.kind(task)) {
          case FORWARD -> {
            live++;
            held += activation;
          }
          case BACKWARD -> {
            live -= split ? 0 : 1;
            held += split ? residual - activation : -activation;
          }
          case WEIGHT -> {
            live--;
            held -= residual;
          }
        }
        most = Math.max(most, live);
        mostHeld = Math.max(mostHeld, held);
        if (inference) {
          live--;
          held -= activation;
        }
      }
      activations[stage] = most;
      bytes[stage] = mostHeld;
    }
    return new Peaks(List.of(activations), List.of(bytes));
  }
}
