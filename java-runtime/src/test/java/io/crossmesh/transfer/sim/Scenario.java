package io.crossmesh.transfer.sim;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.memory.Slot;
import io.crossmesh.plan.Plan;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.EngineOptions;
import io.crossmesh.transfer.EngineStatus;
import io.crossmesh.transfer.Side;
import io.crossmesh.transfer.TensorSide;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;

/**
 * A random run: hosts, channels, processes that send and receive at their own pace, and, in a
 * storm, things that go wrong. What must hold in any case is checked by {@link #run()}.
 */
public final class Scenario {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);

  private static final class Worker {
    private final SimProcess process;
    private final int channel;
    private final double pace;
    private long next;
    private boolean dead;

    Worker(SimProcess process, int channel, double pace) {
      this.process = process;
      this.channel = channel;
      this.pace = pace;
    }
  }

  private final Random dice;
  private final boolean storm;
  private final SimCluster cluster;
  private final List<Worker> workers = new ArrayList<>();
  private final List<Integer> steps = new ArrayList<>();
  private final boolean[] disturbed;
  private final int pauseNanos;
  private final int mishapOneIn;
  private final boolean hogs;
  private final List<Slot> hogged = new ArrayList<>();

  public Scenario(long seed, boolean storm, Path directory) {
    this.dice = new Random(seed);
    this.storm = storm;
    SimNetwork.Weather weather =
        new SimNetwork.Weather(
                1 + dice.nextInt(300_000),
                dice.nextInt(3) / 2.0,
                dice.nextInt(3) / 2.0,
                1 + dice.nextInt(dice.nextBoolean() ? 300_000 : 5_000_000))
            .damaging(dice.nextInt(3) == 2 ? 0.03 : 0);
    this.pauseNanos = 1 + dice.nextInt(storm ? 3_000_000 : 300_000);
    this.mishapOneIn = 10 + dice.nextInt(90);
    this.hogs = dice.nextInt(3) == 0;
    long arena = (dice.nextInt(4) == 0 ? 32L : 512L) << 10;
    this.cluster = new SimCluster(dice, weather, directory, arena);
    int count = 2 + dice.nextInt(1 + dice.nextInt(5));
    long chunk = 16L << dice.nextInt(6);
    int window = 1 + dice.nextInt(8);
    EngineOptions options = Cases.options(chunk, window);
    List<String> names = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      names.add("h" + i);
      cluster.start("h" + i, options);
    }
    int channels = 1 + dice.nextInt(1 + dice.nextInt(3));
    this.disturbed = new boolean[channels];
    boolean early = dice.nextBoolean();
    if (!early) {
      cluster.join();
    }
    for (int channel = 0; channel < channels; channel++) {
      openChannel(channel, Cases.random(dice, names, 200));
    }
    Collections.shuffle(workers, dice);
    if (early) {
      cluster.join();
    }
  }

  private void openChannel(int channel, Cases.Pair pair) {
    int depth = 1 + dice.nextInt(4);
    steps.add(1 + dice.nextInt(8));
    boolean split = dice.nextInt(3) == 0;
    for (Side side : Side.values()) {
      var mesh = pair.mesh(side);
      for (String host : mesh.hosts()) {
        List<Integer> devices = new ArrayList<>();
        for (int i = 0; i < mesh.size(); i++) {
          if (mesh.hostOf(i).equals(host)) {
            devices.add(i);
          }
        }
        int cut = split && devices.size() > 1 ? 1 + dice.nextInt(devices.size() - 1) : 0;
        if (cut > 0) {
          open(channel, pair, side, host, devices.subList(0, cut), depth);
        }
        open(channel, pair, side, host, devices.subList(cut, devices.size()), depth);
      }
    }
  }

  private void open(
      int channel, Cases.Pair pair, Side side, String host, List<Integer> devices, int depth) {
    List<TensorSide> tensors = side == Side.SRC ? pair.src() : pair.dst();
    ChannelOpen base = Cases.open("c" + channel, side, tensors, devices, depth);
    ChannelOpen request =
        new ChannelOpen(
            base.name(),
            side,
            tensors,
            devices,
            depth,
            storm ? SECOND : 1000 * SECOND,
            side == Side.SRC ? pair.strategy() : Optional.empty(),
            side == Side.SRC ? pair.order() : Optional.empty(),
            Optional.empty(),
            "process of " + host);
    SimProcess process = cluster.host(host).open(request).keep(dice.nextInt(7));
    workers.add(new Worker(process, channel, 0.1 + 0.9 * dice.nextDouble()));
  }

  /** Runs to the end and checks everything. */
  public void run() {
    try (cluster) {
      long limit = cluster.now() + (storm ? 30 : 3000) * SECOND;
      while (!finished()) {
        if (cluster.now() > limit) {
          throw new AssertionError("steps are left open: " + open());
        }
        workers.forEach(this::act);
        if (storm && dice.nextInt(mishapOneIn) == 0) {
          disturb();
        }
        cluster.run(1 + dice.nextInt(pauseNanos));
        if (hogs && hogged.isEmpty() && workers.stream().allMatch(w -> w.process.isOpen())) {
          cluster.hosts().forEach(this::hog);
        }
      }
      checkOutcomes();
      closeAll();
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

  private void act(Worker worker) {
    SimProcess process = worker.process;
    if (worker.dead || process.isOver() || worker.next >= steps.get(worker.channel)) {
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

  private void disturb() {
    Worker victim = workers.get(dice.nextInt(workers.size()));
    if (victim.dead || victim.process.isOver()) {
      return;
    }
    int what = dice.nextInt(8);
    if (what < 3) {
      disturbed[victim.channel] = true;
      long step = Math.max(0, victim.next - dice.nextInt(3));
      victim.process.handle().cancel(step, Code.TRANSFER_CANCELLED, "tried");
    } else if (what == 3) {
      disturbed[victim.channel] = true;
      victim.process.handle().abort("loss is NaN");
    } else if (what == 4) {
      disturbed[victim.channel] = true;
      victim.dead = true;
      victim.process.kill();
    } else if (what == 5) {
      killHost(victim.process.host());
    } else if (what == 6) {
      SimCluster.Host host = victim.process.host();
      workers.stream().filter(w -> !w.dead).forEach(w -> disturbed[w.channel] = true);
      cluster.stall(host, true);
      cluster.run(dice.nextLong(2 * SECOND));
      cluster.stall(host, false);
    } else {
      disturbed[victim.channel] = true;
      victim.process.handle().close();
    }
  }

  private void killHost(SimCluster.Host host) {
    for (Worker worker : workers) {
      if (worker.process.host() == host) {
        worker.dead = true;
        disturbed[worker.channel] = true;
      }
    }
    host.die();
  }

  private boolean finished() {
    return workers.stream().allMatch(this::finished);
  }

  private boolean finished(Worker worker) {
    return worker.dead
        || worker.process.isOver()
        || (worker.next >= steps.get(worker.channel) && worker.process.settled());
  }

  private List<String> open() {
    return workers.stream()
        .filter(worker -> !finished(worker))
        .map(
            worker ->
                "%s of c%d on %s at %d of %d"
                    .formatted(
                        worker.process.side(),
                        worker.channel,
                        worker.process.host().name(),
                        worker.next,
                        steps.get(worker.channel)))
        .toList();
  }

  private void checkOutcomes() {
    for (int channel = 0; channel < steps.size(); channel++) {
      int number = channel;
      List<SimProcess> of =
          workers.stream().filter(w -> w.channel == number).map(w -> w.process).toList();
      boolean full =
          of.stream().anyMatch(p -> p.channelCode().equals(Optional.of(Code.ARENA_FULL)));
      if (disturbed[channel] || full) {
        continue;
      }
      for (SimProcess process : of) {
        for (long step = 0; step < steps.get(channel); step++) {
          String expected = process.side() == Side.SRC ? "delivered" : "received";
          if (!process.outcome(step).equals(expected)) {
            throw new AssertionError(
                "step %d of c%d on %s is '%s' %s %s: %s %s"
                    .formatted(
                        step,
                        channel,
                        process.host().name(),
                        process.outcome(step),
                        process.failure(step),
                        process.message(step),
                        process.channelCode(),
                        process.channelMessage()));
          }
        }
      }
      checkBytes(channel, of);
    }
  }

  private void checkBytes(int channel, List<SimProcess> of) {
    if (of.stream().anyMatch(SimProcess::isOver)) {
      return;
    }
    Plan plan = of.getFirst().info().plan();
    TreeMap<String, EngineStatus.Channel> status = new TreeMap<>();
    for (SimProcess process : of) {
      for (EngineStatus.Channel one : process.host().status().channels()) {
        if (one.name().equals("c" + channel)) {
          status.put(process.host().name(), one);
        }
      }
    }
    SimCluster.checkBytes(plan, steps.get(channel), status);
  }

  private void closeAll() {
    for (Worker worker : workers) {
      if (!worker.dead) {
        worker.process.handle().close();
      }
    }
    cluster.until(
        () -> workers.stream().allMatch(w -> w.dead || w.process.isOver()),
        storm ? 10 * SECOND : 2000 * SECOND,
        "all closed");
    workers.stream().filter(w -> !w.dead).forEach(w -> w.process.releaseAll());
    hogged.forEach(Slot::close);
    cluster.run(5 * SECOND);
    for (SimCluster.Host host : cluster.hosts()) {
      if (!host.transport().isDead() && host.arena().used() != 0) {
        throw new AssertionError(
            "host %s still holds %d bytes".formatted(host.name(), host.arena().used()));
      }
    }
  }
}
