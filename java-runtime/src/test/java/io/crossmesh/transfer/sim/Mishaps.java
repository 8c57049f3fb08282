package io.crossmesh.transfer.sim;

import io.crossmesh.Code;
import io.crossmesh.transfer.EngineOptions;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/** What goes wrong in a storm; each notes which channels it disturbs. */
final class Mishaps {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  private final Random dice;
  private final SimCluster cluster;
  private final List<Job> jobs;
  private final EngineOptions options;
  private long awake = Long.MIN_VALUE;

  Mishaps(Random dice, SimCluster cluster, List<Job> jobs, EngineOptions options) {
    this.dice = dice;
    this.cluster = cluster;
    this.jobs = jobs;
    this.options = options;
  }

  /** Since when no host has been stopped. */
  long awake() {
    return awake;
  }

  void next() {
    Job job = jobs.get(dice.nextInt(jobs.size()));
    Job.Worker victim = job.workers.get(dice.nextInt(job.workers.size()));
    int what = dice.nextInt(9);
    if (what == 8) {
      restartOne();
    } else if (!victim.dead && !victim.process.isOver()) {
      disturb(what, job, victim);
    }
  }

  private void disturb(int what, Job job, Job.Worker victim) {
    if (what < 3) {
      job.disturbed = true;
      long step = Math.max(0, victim.next - dice.nextInt(3));
      victim.process.handle().cancel(step, Code.TRANSFER_CANCELLED, "tried");
    } else if (what == 3) {
      job.disturbed = true;
      victim.process.handle().abort("loss is NaN");
    } else if (what == 4) {
      job.disturbed = true;
      victim.dead = true;
      victim.process.kill();
    } else if (what == 5) {
      kill(victim.process.host());
    } else if (what == 6) {
      stall(victim.process.host());
    } else {
      job.disturbed = true;
      victim.process.handle().close();
    }
  }

  private void kill(SimCluster.Host host) {
    for (Job job : jobs) {
      for (Job.Worker worker : job.workers) {
        if (worker.process.host() == host) {
          worker.dead = true;
          job.disturbed = true;
        }
      }
    }
    host.die();
  }

  private void stall(SimCluster.Host host) {
    for (Job job : jobs) {
      job.disturbed |= job.workers.stream().anyMatch(worker -> !worker.dead);
    }
    cluster.stall(host, true);
    cluster.run(dice.nextLong(2 * SECOND));
    cluster.stall(host, false);
    awake = cluster.now();
  }

  /** A dead agent begins another life; channels that it has no part in must not notice. */
  private void restartOne() {
    List<SimCluster.Host> dead = dead();
    if (!dead.isEmpty()) {
      cluster.start(dead.get(dice.nextInt(dead.size())).name(), options);
      cluster.join();
    }
  }

  /** All dead agents begin another life, and know each other. */
  void restartAll() {
    dead().forEach(host -> cluster.start(host.name(), options));
    cluster.join();
  }

  private List<SimCluster.Host> dead() {
    return cluster.hosts().stream().filter(host -> host.transport().isDead()).toList();
  }
}
