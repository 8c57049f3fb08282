package io.crossmesh.plan;

import java.util.List;

/**
 * Moves and what is predicted of them.
 *
 * @param moves in the order in which they should start
 * @param end when all is done, in seconds
 * @param late the most seconds by which a tensor misses its deadline, 0 if none does
 * @param finish when each class of tensors has arrived, the most urgent first, in seconds
 */
record Outcome(List<Move> moves, double end, double late, List<Double> finish) {
  /** Ends that differ by less than this ratio are equal: a chunk more or less. */
  static final double EQUAL = 0.001;

  /** Before anything is tried. */
  static final Outcome NONE =
      new Outcome(List.of(), Double.POSITIVE_INFINITY, Double.POSITIVE_INFINITY, List.of());

  /**
   * Whether this is never later by more than is allowed, and brings something that is needed early
   * earlier: less lateness first, then the earliest class whose arrival differs.
   */
  boolean servesBetterThan(Outcome other) {
    double apart = EQUAL * other.end;
    if (late > other.late || late < other.late - apart) {
      return late < other.late;
    }
    for (int i = 0; i < finish.size(); i++) {
      double later = finish.get(i) - other.finish.get(i);
      if (Math.abs(later) > apart) {
        return later < 0;
      }
    }
    return false;
  }

  /** Whether every class arrives within a ratio and some seconds of its own bound. */
  boolean reaches(List<Double> bounds, double ratio, double seconds) {
    for (int i = 0; i < finish.size(); i++) {
      if (finish.get(i) > bounds.get(i) * (1 + ratio) + seconds) {
        return false;
      }
    }
    return true;
  }
}
