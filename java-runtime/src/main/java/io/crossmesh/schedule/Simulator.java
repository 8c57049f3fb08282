package io.crossmesh.schedule;

import java.util.ArrayList;
import java.util.List;

/** Times a schedule by running its own lists. */
public final class Simulator {
  private Simulator() {}

  /**
   * Runs one step.
   *
   * @param schedule whose lists run
   * @param timing seconds of operations and transfers, made for the schedule's shape
   * @param network who waits for transfers and what they share
   * @param memory what a micro-batch holds
   */
  public static Simulation simulate(
      Schedule schedule, Timing timing, Network network, MemoryUse memory) {
    PipelineShape shape = schedule.shape();
    network.fits(timing);
    if (schedule.split() && !timing.hasWeight()) {
      throw Refusal.of(
          "%s runs weight gradients apart and no time for them is stated; state weight, and backward as the gradient of the inputs alone."
              .formatted(schedule.family().id()));
    }
    Tasks tasks = new Tasks(shape);
    Engine engine = new Engine(tasks, timing, schedule.split(), network);
    ListDispatcher lists = new ListDispatcher(engine, tasks, tasks.of(schedule.ops()));
    if (!engine.run(lists)) {
      throw new IllegalStateException("a checked schedule does not end: " + lists.stuck());
    }
    long makespan = engine.makespan();
    List<Double> work = new ArrayList<>();
    List<Double> bubbles = new ArrayList<>();
    List<Double> exposed = new ArrayList<>();
    StageClock clock = engine.clock();
    for (int stage = 0; stage < shape.stages(); stage++) {
      work.add(Timeline.seconds(clock.work(stage)));
      exposed.add(Timeline.seconds(clock.exposed(stage)));
      bubbles.add(Timeline.seconds(makespan - clock.work(stage) - clock.exposed(stage)));
    }
    Peaks peaks = Peaks.of(shape, schedule.split(), schedule.ops(), memory);
    return new Simulation(
        Timeline.seconds(makespan),
        work,
        bubbles,
        exposed,
        peaks.activations(),
        peaks.bytes(),
        engine.timeline());
  }
}
