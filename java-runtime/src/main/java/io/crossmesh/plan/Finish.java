package io.crossmesh.plan;

import java.util.Arrays;
import java.util.List;

/** When tensors have arrived, and how late that is. */
final class Finish {
  private Finish() {}

  /** The end of the last move of each tensor, in seconds; 0 without moves. */
  static List<Double> of(int tensors, List<Move> moves) {
    double[] finish = new double[tensors];
    for (Move move : moves) {
      finish[move.tensor()] = Math.max(finish[move.tensor()], move.end());
    }
    return Arrays.stream(finish).boxed().toList();
  }

  /** The most seconds by which a tensor misses its deadline, 0 if none does. */
  static double lateness(List<TensorReshard> tensors, List<Double> finish) {
    double most = 0;
    for (int t = 0; t < finish.size(); t++) {
      most = Math.max(most, finish.get(t) - tensors.get(t).due());
    }
    return most;
  }
}
