package io.crossmesh.schedule;

import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.random.RandomGenerator;

/** Times for tests. */
final class Times {
  private Times() {}

  static PipelineShape shape(int stages, int microbatches) {
    return new PipelineShape(stages, microbatches, 1, false);
  }

  /** A whole backward, the same on every stage. */
  static Timing even(PipelineShape shape, double forward, double backward, double transfer) {
    Series send = Series.of(transfer);
    return Timing.of(shape, Series.of(forward), Series.of(backward), Optional.empty(), send, send);
  }

  /** The backward in two, the same on every stage. */
  static Timing apart(
      PipelineShape shape, double forward, double backward, double weight, double transfer) {
    Series send = Series.of(transfer);
    return Timing.of(
        shape, Series.of(forward), Series.of(backward), Optional.of(Series.of(weight)), send, send);
  }

  /** Stages and boundaries that differ. */
  static Timing random(PipelineShape shape, boolean split, RandomGenerator random) {
    double largest = random.nextDouble(2);
    return Timing.of(
        shape,
        list(shape.stages(), 1, random),
        list(shape.stages(), 2, random),
        split ? Optional.of(list(shape.stages(), 1, random)) : Optional.empty(),
        list(shape.stages() - 1, largest, random),
        list(shape.stages() - 1, largest, random));
  }

  /** The same times and some skips, where there are stages to skip. */
  static Timing skipping(Timing timing, RandomGenerator random) {
    List<SkipSeconds> skips = new ArrayList<>();
    int parts = timing.shape().virtualStages();
    for (int from = 0; from < parts; from++) {
      for (int to = from + 2; to < parts; to++) {
        if (random.nextInt(3) == 0) {
          skips.add(new SkipSeconds(from, to, random.nextInt(300) / 100.0, random.nextInt(3)));
        }
      }
    }
    return timing.withSkips(skips);
  }

  private static Series list(int size, double largest, RandomGenerator random) {
    List<Double> values = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      values.add(largest * random.nextInt(101) / 100);
    }
    return Series.of(values);
  }

  /** What this thread has computed so far: other programs of the machine do not count. */
  static double processorSeconds() {
    return ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() / 1e9;
  }

  static double makespan(Schedule schedule, Timing timing, Network network) {
    return Simulator.simulate(schedule, timing, network, MemoryUse.counting(schedule.shape()))
        .makespan();
  }
}
