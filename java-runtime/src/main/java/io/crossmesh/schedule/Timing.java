package io.crossmesh.schedule;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * How long operations and transfers take, in whole picoseconds, so that times that are equal on
 * paper are equal here and no order depends on rounding.
 */
public final class Timing {
  static final double TICKS_PER_SECOND = 1e12;

  /** Most seconds that all operations and transfers may take one after the other: 46 days. */
  public static final double TOTAL_SECONDS_MAX = 4e6;

  private final PipelineShape shape;
  private final long[] forward;
  private final long[] backward;
  private final Optional<long[]> weight;
  private final long[] sendForward;
  private final long[] sendBackward;
  private final List<Skip> skips;

  private Timing(
      PipelineShape shape,
      long[] forward,
      long[] backward,
      Optional<long[]> weight,
      long[] sendForward,
      long[] sendBackward,
      List<Skip> skips) {
    this.shape = shape;
    this.forward = forward;
    this.backward = backward;
    this.weight = weight;
    this.sendForward = sendForward;
    this.sendBackward = sendBackward;
    this.skips = skips;
    bounded();
  }

  /**
   * What goes past virtual stages in between: activations from one to another that is not the next,
   * and their gradients back. They need no time of the stages between, and are waited for as what
   * the next one sends.
   *
   * @param from the virtual stage that makes it
   * @param to the virtual stage that takes it, at least two further on
   * @param sendForward ticks of the activations
   * @param sendBackward ticks of the gradients
   */
  record Skip(int from, int to, long sendForward, long sendBackward) {}

  /**
   * Seconds per micro-batch.
   *
   * @param forward of each stage, shared evenly by its virtual stages, or of each virtual stage
   * @param backward the same; without {@code weight} the whole backward, else of the inputs alone
   * @param weight the weight gradient
   * @param sendForward one way over each boundary, activations
   * @param sendBackward one way over each boundary, gradients
   */
  public static Timing of(
      PipelineShape shape,
      Series forward,
      Series backward,
      Optional<Series> weight,
      Series sendForward,
      Series sendBackward) {
    return new Timing(
        shape,
        ticks(forward.perVirtualStage("forward", shape)),
        ticks(backward.perVirtualStage("backward", shape)),
        weight.map(series -> ticks(series.perVirtualStage("weight", shape))),
        ticks(sendForward.perBoundary("transfer", shape)),
        ticks(sendBackward.perBoundary("transfer", shape)),
        List.of());
  }

  /**
   * The same times, and what goes past stages in between.
   *
   * @param stated from and to, virtual stages; seconds of a micro-batch forward and backward
   */
  public Timing withSkips(List<SkipSeconds> stated) {
    long transfers = 2L * stated.size() * shape.microbatches();
    if (transfers > PipelineShape.OPS_MAX) {
      throw Refusal.of(
          "%d skips of %d micro-batches are %d transfers; the limit is %d. Add up what leaves a stage for the same other."
              .formatted(stated.size(), shape.microbatches(), transfers, PipelineShape.OPS_MAX));
    }
    Set<List<Integer>> seen = new HashSet<>();
    for (SkipSeconds skip : stated) {
      skip.fits(shape);
      if (!seen.add(List.of(skip.from(), skip.to()))) {
        throw Refusal.of(
            "The skip from %d to %d is stated twice; state what goes that way in a micro-batch once."
                .formatted(skip.from(), skip.to()));
      }
    }
    List<Skip> made =
        stated.stream()
            .map(
                skip -> {
                  long[] ways = ticks(new double[] {skip.sendForward(), skip.sendBackward()});
                  return new Skip(skip.from(), skip.to(), ways[0], ways[1]);
                })
            .toList();
    return new Timing(shape, forward, backward, weight, sendForward, sendBackward, made);
  }

  /** Times in which nothing takes longer than anything else: for questions of order alone. */
  static Timing units(PipelineShape shape) {
    Series one = Series.of(1 / TICKS_PER_SECOND * shape.virtual());
    Series send = Series.of(1 / TICKS_PER_SECOND);
    return of(shape, one, one, Optional.of(one), send, send);
  }

  private static long[] ticks(double[] seconds) {
    double largest = Arrays.stream(seconds).max().orElse(0);
    if (largest > TOTAL_SECONDS_MAX) {
      throw tooLong(largest);
    }
    return Arrays.stream(seconds).mapToLong(s -> Math.round(s * TICKS_PER_SECOND)).toArray();
  }

  private void bounded() {
    double ticks = 0;
    for (int k = 0; k < shape.virtualStages(); k++) {
      ticks += (double) forward[k] + backward[k] + weightTicks(k);
    }
    for (int k = 0; k < sendForward.length; k++) {
      ticks += (double) sendForward[k] + sendBackward[k];
    }
    for (Skip skip : skips) {
      ticks += (double) skip.sendForward() + skip.sendBackward();
    }
    double seconds = ticks * shape.microbatches() / TICKS_PER_SECOND;
    if (seconds > TOTAL_SECONDS_MAX) {
      throw tooLong(seconds);
    }
  }

  private static RuntimeException tooLong(double seconds) {
    return Refusal.of(
        "The times add up to %.3g seconds; the simulator counts to %.3g. State seconds, not other units."
            .formatted(seconds, TOTAL_SECONDS_MAX));
  }

  PipelineShape shape() {
    return shape;
  }

  boolean hasWeight() {
    return weight.isPresent();
  }

  private long weightTicks(int virtualStage) {
    return weight.isPresent() ? weight.get()[virtualStage] : 0;
  }

  /** Ticks of an operation, whole or of the inputs alone for a backward. */
  long op(OpKind kind, int virtualStage, boolean split) {
    return switch (kind) {
      case FORWARD -> forward[virtualStage];
      case BACKWARD -> backward[virtualStage] + (split ? 0 : weightTicks(virtualStage));
      case WEIGHT -> weightTicks(virtualStage);
    };
  }

  /** What goes past stages in between. */
  List<Skip> skips() {
    return skips;
  }

  /** Ticks of activations from a virtual stage to the next. */
  long sendForward(int virtualStage) {
    return sendForward[virtualStage];
  }

  /** Ticks of gradients to a virtual stage from the next. */
  long sendBackward(int virtualStage) {
    return sendBackward[virtualStage];
  }
}
