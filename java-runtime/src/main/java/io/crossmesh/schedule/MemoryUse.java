package io.crossmesh.schedule;

/** Bytes that one micro-batch of each virtual stage holds, in whatever unit the cap is stated. */
public final class MemoryUse {
  /** One unit for each micro-batch of a stage, held until its last gradient. */
  public static MemoryUse counting(PipelineShape shape) {
    return of(shape, Series.of(1), Series.of(1));
  }

  private final double[] activation;
  private final double[] residual;

  private MemoryUse(double[] activation, double[] residual) {
    this.activation = activation;
    this.residual = residual;
  }

  /**
   * Bytes for each stage, which its virtual stages share evenly, or for each virtual stage.
   *
   * @param activation held from the start of a forward to the end of the backward
   * @param residual held from the end of the backward to the end of the weight gradient
   */
  public static MemoryUse of(PipelineShape shape, Series activation, Series residual) {
    return new MemoryUse(
        activation.perVirtualStage("activation", shape),
        residual.perVirtualStage("residual", shape));
  }

  double activation(int virtualStage) {
    return activation[virtualStage];
  }

  double residual(int virtualStage) {
    return residual[virtualStage];
  }
}
