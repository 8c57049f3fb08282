package io.crossmesh.transfer.sim;

import io.crossmesh.CrossmeshException;
import io.crossmesh.memory.Slot;
import io.crossmesh.plan.Plan;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.EngineOptions;
import io.crossmesh.transfer.Side;
import io.crossmesh.transfer.TensorSide;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * A random run: hosts, channels, processes that send and receive at their own pace, and, in a
 * storm, things that go wrong. In any case
 *
 * <ul>
 *   <li>every received byte is the one that was sent for its place, step and channel, and stays so
 *       until the process lets the set go, of which none is handed over while it is held;
 *   <li>every call and every opening is answered, once, within its timeout;
 *   <li>channels that nothing was done to deliver every step, and carry the plan's bytes;
 *   <li>a channel whose hosts plan otherwise does not open;
 *   <li>no channel takes more sets than its depth and those that processes hold, and when all are
 *       closed, no byte of any arena is taken.
 * </ul>
 *
 * After some storms dead agents begin another life, all channels are opened anew, and deliver.
 */
public final class Scenario {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  /** How much later than its timeout a call may end: a pause, and messages on their way. */
  private static final long SLACK_NANOS = SECOND / 20;

  private final Random dice;
  private final boolean storm;
  private final boolean lossy;
  private final boolean again;
  private final SimCluster cluster;
  private final List<Job> jobs = new ArrayList<>();
  private final List<SimProcess> processes = new ArrayList<>();
  private final Mishaps mishaps;
  private final int pauseNanos;
  private final int mishapOneIn;
  private final boolean hogs;

  /** The host that plans otherwise than the others in its first life, if it is one of them. */
  private final String other;

  private final List<Slot> hogged = new ArrayList<>();
  private final Map<SimCluster.Host, Long> opened = new HashMap<>();

  public Scenario(long seed, boolean storm, Path directory) {
    this.dice = new Random(seed);
    this.storm = storm;
    this.lossy = storm && dice.nextInt(8) == 0;
    this.again = storm && dice.nextInt(3) == 0;
    SimNetwork.Weather weather =
        SimNetwork.Weather.any(dice)
            .damaging(dice.nextInt(3) == 2 ? 0.03 : 0)
            .confusing(dice.nextInt(2) * 0.1, lossy ? 0.02 : 0);
    this.pauseNanos = 1 + dice.nextInt(storm ? 3_000_000 : 300_000);
    this.mishapOneIn = 10 + dice.nextInt(90);
    this.hogs = dice.nextInt(3) == 0;
    long arena = (dice.nextInt(4) == 0 ? 32L : 512L) << 10;
    this.cluster = new SimCluster(dice, weather, directory, arena);
    int count = 2 + dice.nextInt(1 + dice.nextInt(5));
    EngineOptions options =
        Cases.options(16L << dice.nextInt(6), 1 + dice.nextInt(8))
            .withReserving(Runnable::run, seed % 2 == 0 ? 0 : EngineOptions.COLD_BYTES_MAX);
    this.mishaps = new Mishaps(dice, cluster, jobs, options);
    this.other = "h" + dice.nextInt(16);
    List<String> names = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      names.add("h" + i);
      cluster.start("h" + i, other.equals("h" + i) ? planningOtherwise(options) : options);
    }
    boolean early = dice.nextBoolean();
    if (!early) {
      cluster.join();
    }
    int channels = 1 + dice.nextInt(1 + dice.nextInt(3));
    for (int i = 0; i < channels; i++) {
      Cases.Pair pair = Cases.random(dice, names, 200);
      int depth = 1 + dice.nextInt(4);
      int steps = 1 + dice.nextInt(8);
      Job job = new Job("c" + i, pair, depth, steps, dice.nextInt(3) == 0);
      job.disturbed = lossy;
      job.verified = (seed + i) % 4 == 0;
      job.contested = pair.hosts().size() > 1 && pair.hosts().contains(other);
      jobs.add(job);
      open(job);
    }
    if (early) {
      cluster.join();
    }
  }

  /** The same options, with plans of another digest. */
  private static EngineOptions planningOtherwise(EngineOptions options) {
    return options.withPlanner(
        request -> {
          Plan plan = options.planner().apply(request);
          return new Plan(
              plan.request(),
              plan.chosen(),
              plan.tasks(),
              plan.moves(),
              plan.makespan(),
              plan.lowerBound(),
              plan.bytesSent(),
              plan.bytesReceived(),
              new StringBuilder(plan.digest()).reverse().toString());
        });
  }

  private void open(Job job) {
    job.workers.clear();
    for (Side side : Side.values()) {
      var mesh = job.pair.mesh(side);
      for (String host : mesh.hosts()) {
        List<Integer> devices = new ArrayList<>();
        for (int i = 0; i < mesh.size(); i++) {
          if (mesh.hostOf(i).equals(host)) {
            devices.add(i);
          }
        }
        int cut = job.split && devices.size() > 1 ? 1 + dice.nextInt(devices.size() - 1) : 0;
        if (cut > 0) {
          open(job, side, host, devices.subList(0, cut));
        }
        open(job, side, host, devices.subList(cut, devices.size()));
      }
    }
    Collections.shuffle(job.workers, dice);
  }

  private void open(Job job, Side side, String host, List<Integer> devices) {
    List<TensorSide> tensors = side == Side.SRC ? job.pair.src() : job.pair.dst();
    ChannelOpen request =
        new ChannelOpen(
            job.name,
            side,
            tensors,
            devices,
            job.depth,
            storm ? SECOND : 1000 * SECOND,
            side == Side.SRC ? job.pair.strategy() : Optional.empty(),
            side == Side.SRC ? job.pair.order() : Optional.empty(),
            Optional.empty(),
            "process of " + host);
    SimProcess process =
        cluster.host(host).open(job.verified ? request.verified() : request).keep(dice.nextInt(7));
    processes.add(process);
    job.workers.add(new Job.Worker(process, 0.1 + 0.9 * dice.nextDouble()));
  }

  /** Runs to the end and checks everything. */
  public void run() {
    try (cluster) {
      play(storm);
      if (again) {
        cluster.loseNothing();
        if (lossy) {
          // What was lost between two that live on stays lost: only new lives make up for it.
          cluster.hosts().forEach(SimCluster.Host::die);
        }
        mishaps.restartAll();
        cluster.run(SECOND);
        for (Job job : jobs) {
          job.disturbed = false;
          job.contested &= !cluster.wasRestarted(other);
          open(job);
        }
        play(false);
      }
    }
  }

  private void play(boolean mishap) {
    long limit = cluster.now() + (storm ? 30 : 3000) * SECOND;
    while (!jobs.stream().allMatch(Job::finished)) {
      if (cluster.now() > limit) {
        throw new AssertionError("left: " + jobs.stream().flatMap(j -> j.left().stream()).toList());
      }
      jobs.forEach(job -> job.workers.forEach(worker -> act(job, worker)));
      if (mishap && dice.nextInt(mishapOneIn) == 0) {
        mishaps.next();
      }
      cluster.run(1 + dice.nextInt(pauseNanos));
      whenOpen();
      checkLimits();
    }
    jobs.forEach(Outcomes::check);
    closeAll();
  }

  private void act(Job job, Job.Worker worker) {
    SimProcess process = worker.process;
    if (worker.dead || process.isOver() || worker.next >= job.steps) {
      return;
    }
    if (dice.nextDouble() > worker.pace) {
      return;
    }
    if (process.side() == Side.DST) {
      process.recv(worker.next++);
    } else if (process.isOpen() && process.send(worker.next)) {
      worker.next++;
    }
  }

  private void whenOpen() {
    boolean open = jobs.stream().flatMap(j -> j.workers.stream()).allMatch(w -> w.process.isOpen());
    if (!storm && open && opened.isEmpty()) {
      cluster.hosts().forEach(host -> opened.put(host, host.arena().used()));
    }
    if (hogs && open && hogged.isEmpty()) {
      cluster.hosts().forEach(this::hog);
    }
  }

  /** Takes the rest of a host's arena: from now on there are no spare sets. */
  private void hog(SimCluster.Host host) {
    for (long bytes = 1 << 20; bytes >= 64; bytes /= 2) {
      while (host.arena().budget() - host.arena().used() >= bytes) {
        try {
          hogged.add(host.arena().allocate(bytes, "hog"));
        } catch (CrossmeshException noPieceOfThatSize) {
          break;
        }
      }
    }
  }

  private void checkLimits() {
    for (Job job : jobs) {
      for (Job.Worker worker : job.workers) {
        if (!worker.dead) {
          worker.process.checkLimits(mishaps.awake(), SLACK_NANOS);
        }
      }
    }
    opened.forEach(this::checkMemory);
  }

  /**
   * Sets beyond those of the opening are there only while processes hold as many, or while one of
   * several processes of a host has yet to ask for what another has: at most the depth again.
   */
  private void checkMemory(SimCluster.Host host, long atOpening) {
    long held =
        processes.stream().filter(p -> p.host() == host).mapToLong(SimProcess::heldBytes).sum();
    long used = host.arena().used();
    if (hogged.isEmpty() && used > 2 * atOpening + held) {
      throw new AssertionError(
          "host %s has taken %d bytes, %d at the opening and %d held"
              .formatted(host.name(), used, atOpening, held));
    }
  }

  private void closeAll() {
    List<Job.Worker> all = jobs.stream().flatMap(j -> j.workers.stream()).toList();
    all.stream().filter(w -> !w.dead).forEach(w -> w.process.handle().close());
    cluster.until(
        () -> all.stream().allMatch(w -> w.dead || w.process.isOver()),
        storm ? 10 * SECOND : 2000 * SECOND,
        "all closed");
    all.stream().filter(w -> !w.dead).forEach(w -> w.process.releaseAll());
    hogged.forEach(Slot::close);
    hogged.clear();
    opened.clear();
    cluster.run(5 * SECOND);
    for (SimCluster.Host host : cluster.hosts()) {
      if (!host.transport().isDead() && host.arena().used() != 0) {
        throw new AssertionError(
            "host %s still holds %d bytes".formatted(host.name(), host.arena().used()));
      }
    }
  }
}
