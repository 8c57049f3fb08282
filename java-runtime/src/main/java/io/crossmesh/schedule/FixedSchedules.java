package io.crossmesh.schedule;

import java.util.Arrays;

/** The schedules that do not look at times. */
public final class FixedSchedules {
  private FixedSchedules() {}

  /**
   * Makes one.
   *
   * @param family any but adaptive and custom
   * @param shape its size
   */
  public static Schedule of(Family family, PipelineShape shape) {
    Tasks tasks = new Tasks(shape);
    return new Schedule(family, shape, split(family, shape), tasks.ops(lists(family, tasks)));
  }

  static boolean split(Family family, PipelineShape shape) {
    return family == Family.ZB_H1 && !shape.inference();
  }

  /** The lists alone, as numbers, not checked: whoever keeps them makes a schedule of them. */
  static int[][] lists(Family family, Tasks tasks) {
    PipelineShape shape = tasks.shape();
    int n = shape.stages();
    int m = shape.microbatches();
    interleaving(family, shape);
    int[][] lists = new int[n][];
    for (int i = 0; i < n; i++) {
      Sequences order = Sequences.of(tasks, i);
      lists[i] =
          shape.inference()
              ? order.forwards()
              : switch (family) {
                case GPIPE -> oneByOne(order, m);
                case ONE_F_ONE_B -> oneByOne(order, Math.min(m, n - i));
                case EAGER_1F1B -> oneByOne(order, Math.min(m, 2 * (n - i) - 1));
                case INTERLEAVED_1F1B -> oneByOne(order, interleavedWarmup(shape, i));
                case ZB_H1 -> zeroBubble(order, Math.min(m, n - i), i);
                case ADAPTIVE, CUSTOM ->
                    throw Refusal.of(
                        "%s is no fixed schedule; state times, or the lists."
                            .formatted(family.id()));
              };
    }
    return lists;
  }

  private static void interleaving(Family family, PipelineShape shape) {
    if (family == Family.INTERLEAVED_1F1B && shape.virtual() == 1) {
      throw Refusal.of(
          "interleaved-1f1b needs at least two virtual stages on a stage; set virtual=2, or use 1f1b.");
    }
    if (family != Family.INTERLEAVED_1F1B && shape.virtual() > 1) {
      throw Refusal.of(
          "%s has one virtual stage on a stage, not %d; use interleaved-1f1b or adaptive."
              .formatted(family.id(), shape.virtual()));
    }
  }

  /** Forwards before the first backward, in chunks, as Megatron-LM counts them. */
  static int interleavedWarmup(PipelineShape shape, int stage) {
    int n = shape.stages();
    int chunks = shape.microbatches() * shape.virtual();
    return Math.min(chunks, 2 * (n - stage - 1) + (shape.virtual() - 1) * n + 1);
  }

  /** Warm-up, then backward and forward in turn, then the backwards that are left. */
  private static int[] oneByOne(Sequences order, int warmup) {
    int[] forwards = order.forwards();
    int m = forwards.length;
    int[] list = Arrays.copyOf(forwards, 2 * m);
    int at = warmup;
    for (int k = 0; k < m; k++) {
      list[at++] = order.backwards()[k];
      if (warmup + k < m) {
        list[at++] = forwards[warmup + k];
      }
    }
    return list;
  }

  /**
   * 1F1B in which the weight gradient of a micro-batch runs {@code lag} backwards later: stage i
   * lags by i, so that every stage holds at most as many micro-batches as there are stages, and
   * weight gradients fill the end where 1F1B waits.
   */
  private static int[] zeroBubble(Sequences order, int warmup, int lag) {
    int[] forwards = order.forwards();
    int[] weights = order.weights();
    int m = forwards.length;
    int[] list = Arrays.copyOf(forwards, 3 * m);
    int at = warmup;
    for (int k = 0; k < m; k++) {
      list[at++] = order.backwards()[k];
      if (k >= lag) {
        list[at++] = weights[k - lag];
      }
      if (warmup + k < m) {
        list[at++] = forwards[warmup + k];
      }
    }
    for (int k = Math.max(0, m - lag); k < m; k++) {
      list[at++] = weights[k];
    }
    return list;
  }
}
