package io.crossmesh.schedule;

import java.util.Arrays;
import java.util.List;

/**
 * Numbers for stages or boundaries as people state them: one for all, or a list. None is negative;
 * what a list must hold is known when the shape is.
 *
 * @param values the numbers
 * @param uniform whether it is one number for all
 */
public record Series(List<Double> values, boolean uniform) {
  /** Largest number: more than eleven days in seconds, more than any memory in bytes. */
  public static final double VALUE_MAX = 1e18;

  /** Copies the list. */
  public Series {
    values = List.copyOf(values);
  }

  /** One number for all. */
  public static Series of(double value) {
    return new Series(List.of(value), true);
  }

  /** A number for each. */
  public static Series of(List<Double> values) {
    return new Series(values, false);
  }

  /** One number a virtual stage: those of one stage share what is stated for the stage. */
  double[] perVirtualStage(String what, PipelineShape shape) {
    check(what);
    int n = shape.stages();
    int parts = shape.virtualStages();
    if (!uniform && values.size() != n && values.size() != parts) {
      throw Refusal.of(
          "%s lists %d numbers for %d stages; state one number, or a list of %d%s."
              .formatted(
                  what,
                  values.size(),
                  n,
                  n,
                  parts == n ? "" : ", or of " + parts + " for the virtual stages"));
    }
    double[] each = new double[parts];
    for (int k = 0; k < parts; k++) {
      each[k] =
          values.size() == parts && !uniform
              ? values.get(k)
              : values.get(uniform ? 0 : k % n) / shape.virtual();
    }
    return each;
  }

  /**
   * One number a boundary between virtual stages. The way back from the last stage to the first,
   * which only virtual stages use, is as slow as the slowest boundary if it is not stated.
   */
  double[] perBoundary(String what, PipelineShape shape) {
    check(what);
    int n = shape.stages();
    int parts = shape.virtualStages();
    int size = values.size();
    boolean wraps = shape.virtual() > 1;
    if (!uniform && size != n - 1 && !(wraps && (size == n || size == parts - 1))) {
      throw Refusal.of(
          "%s lists %d numbers for the %d boundaries of %d stages; state one number, or a list of %d%s."
              .formatted(
                  what, size, n - 1, n, n - 1, wraps ? " (or " + n + " with the way back)" : ""));
    }
    double slowest = values.stream().mapToDouble(Double::doubleValue).max().orElse(0);
    double[] each = new double[parts - 1];
    for (int k = 0; k < parts - 1; k++) {
      int index = size == parts - 1 ? k : k % n;
      each[k] = uniform ? values.get(0) : index < size ? values.get(index) : slowest;
    }
    return each;
  }

  /** One number a stage, shared by nothing. */
  double[] perStage(String what, PipelineShape shape) {
    check(what);
    if (!uniform && values.size() != shape.stages()) {
      throw Refusal.of(
          "%s lists %d numbers for %d stages; state one number, or a list of %d."
              .formatted(what, values.size(), shape.stages(), shape.stages()));
    }
    double[] each = new double[shape.stages()];
    Arrays.setAll(each, i -> values.get(uniform ? 0 : i));
    return each;
  }

  private void check(String what) {
    for (double value : values) {
      if (!(value >= 0 && value <= VALUE_MAX)) {
        throw Refusal.of(
            "%s holds %s; a number here is finite and not negative, so measure it again."
                .formatted(what, value));
      }
    }
  }
}
