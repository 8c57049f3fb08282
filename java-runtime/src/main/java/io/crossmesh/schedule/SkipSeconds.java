package io.crossmesh.schedule;

/**
 * What goes past stages in between, as people state it: the long skips of a U-Net, from an encoder
 * stage to the decoder stage that takes them.
 *
 * @param from the virtual stage that makes the activations
 * @param to the virtual stage that takes them, at least two further on
 * @param sendForward seconds of a micro-batch's activations, one way
 * @param sendBackward seconds of their gradients
 */
public record SkipSeconds(int from, int to, double sendForward, double sendBackward) {
  /** Most skips of a pipeline. */
  public static final int SKIPS_MAX = 1024;

  /** Refuses one that does not fit. */
  void fits(PipelineShape shape) {
    if (from < 0 || to < from + 2 || to >= shape.virtualStages()) {
      throw Refusal.of(
          "A skip from %d to %d cannot be among %d stages: it leaves a stage for one at least two further on; what the next one takes is transfer."
              .formatted(from, to, shape.virtualStages()));
    }
    for (double seconds : new double[] {sendForward, sendBackward}) {
      if (!(seconds >= 0 && seconds <= Series.VALUE_MAX)) {
        throw Refusal.of(
            "The skip from %d to %d takes %s; a number here is finite and not negative, so measure it again."
                .formatted(from, to, seconds));
      }
    }
  }
}
