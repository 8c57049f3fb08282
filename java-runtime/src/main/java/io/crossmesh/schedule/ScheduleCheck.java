package io.crossmesh.schedule;

import java.util.List;
import java.util.Optional;

/** What makes lists of operations a schedule. */
final class ScheduleCheck {
  private ScheduleCheck() {}

  /** What is wrong, if anything. */
  static Optional<String> violation(
      Family family, PipelineShape shape, boolean split, List<List<Op>> ops) {
    if (ops.size() != shape.stages()) {
      return Optional.of("%d lists for %d stages".formatted(ops.size(), shape.stages()));
    }
    if (shape.inference() && split) {
      return Optional.of("weight gradients in inference");
    }
    for (int stage = 0; stage < shape.stages(); stage++) {
      Optional<String> wrong = list(shape, split, stage, ops.get(stage));
      if (wrong.isPresent()) {
        return wrong;
      }
    }
    Tasks tasks = new Tasks(shape);
    int[][] lists = tasks.of(ops);
    return ends(tasks, split, lists, Network.OVERLAPPED)
        .or(() -> ends(tasks, split, lists, Network.BLOCKING))
        .or(() -> peaks(family, shape, split, ops));
  }

  /** Each operation once, micro-batches in order, forward before backward before weight. */
  private static Optional<String> list(
      PipelineShape shape, boolean split, int stage, List<Op> ops) {
    int kinds = shape.inference() ? 1 : split ? 3 : 2;
    int[][] done = new int[OpKind.COUNT][shape.virtual()];
    for (Op op : ops) {
      int kind = op.kind().index();
      int part = op.virtualStage() / shape.stages();
      if (kind >= kinds) {
        return Optional.of("stage %d has %s, a kind that it does not run".formatted(stage, op));
      }
      if (op.virtualStage() < 0
          || op.virtualStage() >= shape.virtualStages()
          || shape.stageOf(op.virtualStage()) != stage) {
        return Optional.of("stage %d has %s of another stage".formatted(stage, op));
      }
      if (op.microbatch() != done[kind][part]) {
        return Optional.of(
            "stage %d has %s where micro-batch %d is next".formatted(stage, op, done[kind][part]));
      }
      if (kind > 0 && done[kind - 1][part] <= op.microbatch()) {
        return Optional.of(
            "stage %d has %s before its %s".formatted(stage, op, OpKind.at(kind - 1).letter()));
      }
      done[kind][part]++;
    }
    for (int kind = 0; kind < kinds; kind++) {
      for (int count : done[kind]) {
        if (count != shape.microbatches()) {
          return Optional.of(
              "stage %d runs %s for %d of %d micro-batches"
                  .formatted(stage, OpKind.at(kind).letter(), count, shape.microbatches()));
        }
      }
    }
    return Optional.empty();
  }

  private static Optional<String> ends(Tasks tasks, boolean split, int[][] ops, Network network) {
    Engine engine = new Engine(tasks, Timing.units(tasks.shape()), split, network);
    ListDispatcher lists = new ListDispatcher(engine, tasks, ops);
    return engine.run(lists)
        ? Optional.empty()
        : Optional.of(
            "with %s transfers %s"
                .formatted(network.overlap() ? "overlapped" : "blocking", lists.stuck()));
  }

  private static Optional<String> peaks(
      Family family, PipelineShape shape, boolean split, List<List<Op>> ops) {
    if (shape.inference()) {
      return Optional.empty();
    }
    List<Integer> peaks = Peaks.of(shape, split, ops, MemoryUse.counting(shape)).activations();
    for (int stage = 0; stage < shape.stages(); stage++) {
      int most = promised(family, shape, stage);
      if (peaks.get(stage) > most) {
        return Optional.of(
            "stage %d holds %d micro-batches, %s promises %d"
                .formatted(stage, peaks.get(stage), family.id(), most));
      }
    }
    return Optional.empty();
  }

  /** The most micro-batches, of one virtual stage each, that a stage holds by its family. */
  static int promised(Family family, PipelineShape shape, int stage) {
    int n = shape.stages();
    int m = shape.microbatches();
    return switch (family) {
      case ONE_F_ONE_B -> Math.min(m, n - stage);
      case EAGER_1F1B -> Math.min(m, 2 * (n - stage) - 1);
      case ZB_H1 -> Math.min(m, n);
      case INTERLEAVED_1F1B -> FixedSchedules.interleavedWarmup(shape, stage);
      case GPIPE, ADAPTIVE, CUSTOM -> m * shape.virtual();
    };
  }
}
