package io.crossmesh.schedule;

import java.util.ArrayList;
import java.util.List;

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
    return new Schedule(family, shape, split(family, shape), ops(family, shape));
  }

  static boolean split(Family family, PipelineShape shape) {
    return family == Family.ZB_H1 && !shape.inference();
  }

  /** The lists alone, not checked: whoever keeps them makes a schedule of them. */
  static List<List<Op>> ops(Family family, PipelineShape shape) {
    int n = shape.stages();
    int m = shape.microbatches();
    interleaving(family, shape);
    List<List<Op>> ops = new ArrayList<>(n);
    for (int i = 0; i < n; i++) {
      Sequences order = Sequences.of(shape, i);
      ops.add(
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
              });
    }
    return ops;
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
  private static List<Op> oneByOne(Sequences order, int warmup) {
    List<Op> forwards = order.forwards();
    List<Op> ops = new ArrayList<>(forwards.subList(0, warmup));
    for (int k = 0; k < forwards.size(); k++) {
      ops.add(order.backwards().get(k));
      if (warmup + k < forwards.size()) {
        ops.add(forwards.get(warmup + k));
      }
    }
    return ops;
  }

  /**
   * 1F1B in which the weight gradient of a micro-batch runs {@code lag} backwards later: stage i
   * lags by i, so that every stage holds at most as many micro-batches as there are stages, and
   * weight gradients fill the end where 1F1B waits.
   */
  private static List<Op> zeroBubble(Sequences order, int warmup, int lag) {
    List<Op> forwards = order.forwards();
    List<Op> weights = order.weights();
    List<Op> ops = new ArrayList<>(forwards.subList(0, warmup));
    int m = forwards.size();
    for (int k = 0; k < m; k++) {
      ops.add(order.backwards().get(k));
      if (k >= lag) {
        ops.add(weights.get(k - lag));
      }
      if (warmup + k < m) {
        ops.add(forwards.get(warmup + k));
      }
    }
    ops.addAll(weights.subList(Math.max(0, m - lag), m));
    return ops;
  }
}
