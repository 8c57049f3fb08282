package io.crossmesh.schedule;

import java.util.List;

/**
 * What a schedule takes.
 *
 * @param makespan seconds of one step
 * @param work seconds in which each stage computes
 * @param bubbles seconds in which it waits for other stages' computing, or is through; work, bubble
 *     and exposed add up to the makespan on each stage
 * @param exposed seconds in which it waits for transfers; see {@link StageClock}
 * @param peakActivations micro-batches (of one virtual stage each) that it holds at most
 * @param peakMemory the same in bytes
 * @param timeline every operation and transfer
 */
public record Simulation(
    double makespan,
    List<Double> work,
    List<Double> bubbles,
    List<Double> exposed,
    List<Integer> peakActivations,
    List<Double> peakMemory,
    Timeline timeline) {

  /** Copies the lists. */
  public Simulation {
    work = List.copyOf(work);
    bubbles = List.copyOf(bubbles);
    exposed = List.copyOf(exposed);
    peakActivations = List.copyOf(peakActivations);
    peakMemory = List.copyOf(peakMemory);
  }
}
