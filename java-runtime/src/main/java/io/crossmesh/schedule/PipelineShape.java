package io.crossmesh.schedule;

/**
 * How large a pipeline is. The model is cut into {@code stages * virtual} parts, its virtual
 * stages, laid round robin on the stages: part k on stage {@code k % stages}.
 *
 * @param stages processes, or groups of devices, that work one behind the other
 * @param microbatches of one step
 * @param virtual parts of the model on each stage; 1 but for interleaved schedules
 * @param inference forward passes only
 */
public record PipelineShape(int stages, int microbatches, int virtual, boolean inference) {
  /** Most stages. */
  public static final int STAGES_MAX = 1024;

  /** Most micro-batches of a step. */
  public static final int MICROBATCHES_MAX = 65_536;

  /** Most parts of the model on one stage. */
  public static final int VIRTUAL_MAX = 64;

  /** Most operations of a schedule: what fits a default heap with room for the simulator. */
  public static final int OPS_MAX = 1 << 21;

  private static final int KINDS = OpKind.COUNT;

  /** Refuses sizes out of range with SCHEDULE. */
  public PipelineShape {
    range("stages", stages, STAGES_MAX);
    range("microbatches", microbatches, MICROBATCHES_MAX);
    range("virtual", virtual, VIRTUAL_MAX);
    long ops = (long) stages * microbatches * virtual * (inference ? 1 : KINDS);
    if (ops > OPS_MAX) {
      throw Refusal.of(
          "%d stages x %d micro-batches x %d virtual stages are %d operations; the limit is %d. Use fewer micro-batches."
              .formatted(stages, microbatches, virtual, ops, OPS_MAX));
    }
  }

  private static void range(String what, int value, int max) {
    if (value < 1 || value > max) {
      throw Refusal.of("%s must be from 1 to %d, not %d.".formatted(what, max, value));
    }
  }

  /** Parts of the model. */
  public int virtualStages() {
    return stages * virtual;
  }

  /** The stage on which a part of the model lies. */
  public int stageOf(int virtualStage) {
    return virtualStage % stages;
  }

  /**
   * Boundaries between neighbouring stages: boundary i lies between stage i and i + 1. With virtual
   * stages there is one more, from the last stage back to the first.
   */
  public int boundaries() {
    return stages == 1 ? 0 : virtual > 1 ? stages : stages - 1;
  }
}
