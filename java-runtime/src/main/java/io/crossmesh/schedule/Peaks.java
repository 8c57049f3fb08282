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
    Integer[] activations = new Integer[shape.stages()];
    Double[] bytes = new Double[shape.stages()];
    for (int stage = 0; stage < shape.stages(); stage++) {
      int live = 0;
      int most = 0;
      double held = 0;
      double mostHeld = 0;
      for (Op op : ops.get(stage)) {
        double activation = use.activation(op.virtualStage());
        double residual = use.residual(op.virtualStage());
        switch (op.kind()) {
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
        if (shape.inference()) {
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
