package io.crossmesh.transfer.sim;

import io.crossmesh.Code;
import io.crossmesh.plan.Plan;
import io.crossmesh.transfer.EngineStatus;
import io.crossmesh.transfer.Side;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;

/** What must have become of the steps of a channel. */
final class Outcomes {
  private Outcomes() {}

  /** Fails when a channel that nothing was done to did not do all that it was asked. */
  static void check(Job job) {
    List<SimProcess> of = job.workers.stream().map(worker -> worker.process).toList();
    boolean full = of.stream().anyMatch(p -> p.channelCode().equals(Optional.of(Code.ARENA_FULL)));
    if (job.contested) {
      checkContested(job, of, full);
    } else if (!job.disturbed && !full) {
      of.forEach(process -> checkSteps(job, process));
      checkBytes(job, of);
    }
  }

  /** Hosts that plan otherwise than others: no byte may move, and somebody is told why. */
  private static void checkContested(Job job, List<SimProcess> of, boolean full) {
    Optional<Code> mismatch = Optional.of(Code.PLAN_MISMATCH);
    boolean told = of.stream().anyMatch(process -> process.channelCode().equals(mismatch));
    if (of.stream().anyMatch(SimProcess::isOpen) || !(told || job.disturbed || full)) {
      throw new AssertionError("%s with unequal digests: %s".formatted(job.name, of));
    }
  }

  private static void checkSteps(Job job, SimProcess process) {
    String expected = process.side() == Side.SRC ? "delivered" : "received";
    for (long step = 0; step < job.steps; step++) {
      if (!process.outcome(step).equals(expected)) {
        throw new AssertionError(
            "step %d of %s on %s is '%s' %s %s: %s %s"
                .formatted(
                    step,
                    job.name,
                    process.host().name(),
                    process.outcome(step),
                    process.failure(step),
                    process.message(step),
                    process.channelCode(),
                    process.channelMessage()));
      }
    }
  }

  private static void checkBytes(Job job, List<SimProcess> of) {
    if (of.stream().anyMatch(SimProcess::isOver)) {
      return;
    }
    Plan plan = of.getFirst().info().plan();
    long id = of.getFirst().info().channelId();
    TreeMap<String, EngineStatus.Channel> status = new TreeMap<>();
    for (SimProcess process : of) {
      for (EngineStatus.Channel one : process.host().status().channels()) {
        if (one.id() == id) {
          status.put(process.host().name(), one);
        }
      }
    }
    SimCluster.checkBytes(plan, job.steps, status);
  }
}
