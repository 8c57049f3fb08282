package io.crossmesh.transfer.sim;

import java.util.ArrayList;
import java.util.List;

/** One channel of a scenario: what is opened, how many steps it has, and who takes part. */
final class Job {
  /** A process and how it calls. */
  static final class Worker {
    final SimProcess process;
    final double pace;
    long next;
    boolean dead;

    Worker(SimProcess process, double pace) {
      this.process = process;
      this.pace = pace;
    }
  }

  final String name;
  final Cases.Pair pair;
  final int depth;
  final int steps;
  final boolean split;
  final List<Worker> workers = new ArrayList<>();

  /** Something was done to it, so that not all of its steps need arrive. */
  boolean disturbed;

  /** One of its hosts plans otherwise than the others, so that it must not open. */
  boolean contested;

  /** Its tiles are compared by digests. */
  boolean verified;

  Job(String name, Cases.Pair pair, int depth, int steps, boolean split) {
    this.name = name;
    this.pair = pair;
    this.depth = depth;
    this.steps = steps;
    this.split = split;
  }

  boolean finished(Worker worker) {
    return worker.dead
        || worker.process.isOver()
        || (worker.next >= steps && worker.process.settled());
  }

  boolean finished() {
    return workers.stream().allMatch(this::finished);
  }

  /** What is left to do, in the words of a failure. */
  List<String> left() {
    return workers.stream()
        .filter(worker -> !finished(worker))
        .map(
            worker ->
                "%s of %s on %s at %d of %d"
                    .formatted(
                        worker.process.side(),
                        name,
                        worker.process.host().name(),
                        worker.next,
                        steps))
        .toList();
  }
}
