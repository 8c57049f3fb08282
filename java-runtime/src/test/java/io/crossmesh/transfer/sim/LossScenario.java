package io.crossmesh.transfer.sim;

import io.crossmesh.Code;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.TensorReshard;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.Side;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/**
 * A random channel of which hosts are lost at a random moment, perhaps another one while the first
 * loss is being made up for, perhaps with a step cancelled or a host stopped meanwhile. Whatever
 * happens, no byte is wrong, every call ends within its time, the channel ends for all with the
 * loss, and no memory stays taken. Besides, unless something else was done to it:
 *
 * <ul>
 *   <li>a step that all source hosts had begun arrives at every destination host that is there when
 *       only destination hosts were lost, and when one source host was whose slices others hold;
 *   <li>it is delivered, when nothing but such a source host was lost;
 *   <li>no call fails for another reason than the loss.
 * </ul>
 *
 * Then dead hosts begin another life, and the channel opens anew and delivers.
 */
public final class LossScenario {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);
  private static final long SLACK_NANOS = SECOND / 20;
  private static final int WAIT_NANOS_MAX = (int) (SECOND / 50);

  private enum Trouble {
    NONE,
    SECOND_LOSS,
    CANCEL,
    STOP
  }

  private final Random dice;
  private final SimCluster cluster;
  private final Cases.Pair pair;
  private final Trouble trouble;
  private final int depth;
  private final int steps;
  private final int pauseNanos;
  private final int window;
  private final long chunkBytes;
  private final Set<String> dead = new HashSet<>();
  private final Set<Long> cancelled = new HashSet<>();
  private List<Job.Worker> workers = new ArrayList<>();

  /** Steps below this one were begun by every source process that outlived the first loss. */
  private long begun;

  private long awake = Long.MIN_VALUE;
  private int waitNanos = 1;

  public LossScenario(long seed, Path directory) {
    dice = new Random(seed);
    SimNetwork.Weather weather =
        SimNetwork.Weather.any(dice)
            .damaging(dice.nextInt(4) == 0 ? 0.03 : 0)
            .confusing(dice.nextInt(2) * 0.1, 0);
    cluster = new SimCluster(dice, weather, directory, 1 << 20);
    trouble = Trouble.values()[dice.nextInt(Trouble.values().length)];
    chunkBytes = 16L << dice.nextInt(5);
    window = 1 + dice.nextInt(8);
    depth = 1 + dice.nextInt(4);
    steps = 1 + dice.nextInt(6);
    pauseNanos = 1 + dice.nextInt(300_000);
    List<String> names = IntStream.range(0, 2 + dice.nextInt(5)).mapToObj(i -> "h" + i).toList();
    names.forEach(name -> cluster.start(name, Cases.options(chunkBytes, window)));
    cluster.join();
    Cases.Pair candidate = Cases.random(dice, names, 400);
    while (candidate.hosts().size() < 2) {
      candidate = Cases.random(dice, names, 400);
    }
    pair = candidate;
  }

  /** Runs to the end and checks everything. */
  public void run() {
    try (cluster) {
      open();
      long before = dice.nextLong(4_000_000);
      for (long until = cluster.now() + before; cluster.now() < until; ) {
        turn();
      }
      lose();
      if (trouble != Trouble.NONE) {
        cluster.run(1 + dice.nextLong(1_000_000));
        trouble();
      }
      long limit = cluster.now() + 30 * SECOND;
      while (!workers.stream().allMatch(worker -> worker.dead || worker.process.isOver())) {
        if (cluster.now() > limit) {
          throw new AssertionError("the channel does not end: " + describe());
        }
        turn();
      }
      check();
      end();
      again();
    }
  }

  private void open() {
    workers = new ArrayList<>();
    for (Side side : Side.values()) {
      Mesh mesh = pair.mesh(side);
      for (String host : mesh.hosts()) {
        List<Integer> devices =
            IntStream.range(0, mesh.size())
                .filter(device -> mesh.hostOf(device).equals(host))
                .boxed()
                .toList();
        int cut = devices.size() > 1 && dice.nextInt(4) == 0 ? 1 : 0;
        if (cut > 0) {
          open(side, host, devices.subList(0, cut));
        }
        open(side, host, devices.subList(cut, devices.size()));
      }
    }
    cluster.until(
        () -> workers.stream().allMatch(worker -> worker.process.isOpen()), SECOND, "it opens");
  }

  private void open(Side side, String host, List<Integer> devices) {
    ChannelOpen request =
        new ChannelOpen(
            "x",
            side,
            side == Side.SRC ? pair.src() : pair.dst(),
            devices,
            depth,
            trouble == Trouble.STOP ? SECOND : 20 * SECOND,
            side == Side.SRC ? pair.strategy() : Optional.empty(),
            side == Side.SRC ? pair.order() : Optional.empty(),
            Optional.empty(),
            "process of " + host);
    SimProcess process = cluster.host(host).open(request).keep(dice.nextInt(3));
    workers.add(new Job.Worker(process, 0.1 + 0.9 * dice.nextDouble()));
  }

  private void turn() {
    boolean called = false;
    for (Job.Worker worker : workers) {
      if (!worker.dead
          && !worker.process.isOver()
          && worker.next < steps + 2
          && dice.nextDouble() < worker.pace) {
        called |= call(worker);
      }
    }
    // While nobody calls, time goes faster: it takes a while until a silent host is missed.
    waitNanos = called ? pauseNanos : Math.min(2 * waitNanos, WAIT_NANOS_MAX);
    cluster.run(1 + dice.nextInt(waitNanos));
    for (Job.Worker worker : workers) {
      if (!worker.dead) {
        worker.process.checkLimits(awake, SLACK_NANOS);
      }
    }
  }

  private boolean call(Job.Worker worker) {
    if (worker.process.side() == Side.DST) {
      worker.process.recv(worker.next++);
      return true;
    }
    boolean sent = worker.next < steps && worker.process.send(worker.next);
    worker.next += sent ? 1 : 0;
    return sent;
  }

  /**
   * A host of the channel dies or is cut off, after what was called has been taken note of
   * everywhere.
   */
  private void lose() {
    cluster.round();
    kill();
    begun =
        workers.stream()
            .filter(worker -> !worker.dead && worker.process.side() == Side.SRC)
            .mapToLong(worker -> worker.next)
            .min()
            .orElse(0);
  }

  private void kill() {
    List<String> alive =
        pair.hosts().stream().filter(host -> !dead.contains(host)).sorted().toList();
    String victim = alive.get(dice.nextInt(alive.size()));
    dead.add(victim);
    workers.stream()
        .filter(worker -> worker.process.host().name().equals(victim))
        .forEach(worker -> worker.dead = true);
    if (dice.nextInt(4) == 0) {
      cluster.host(victim).cutOff();
    } else {
      cluster.host(victim).die();
    }
  }

  private void trouble() {
    List<Job.Worker> alive = workers.stream().filter(worker -> !worker.dead).toList();
    if (alive.isEmpty()) {
      return;
    }
    Job.Worker one = alive.get(dice.nextInt(alive.size()));
    switch (trouble) {
      case SECOND_LOSS -> kill();
      case CANCEL -> {
        long step = dice.nextInt(steps);
        cancelled.add(step);
        one.process.handle().cancel(step, Code.TRANSFER_CANCELLED, "tried");
      }
      case STOP -> {
        cluster.stall(one.process.host(), true);
        cluster.run(dice.nextLong(2 * SECOND));
        cluster.stall(one.process.host(), false);
        awake = cluster.now();
      }
      case NONE -> {}
    }
  }

  private void check() {
    for (Job.Worker worker : workers) {
      if (!worker.dead) {
        SimProcess process = worker.process;
        if (!process.channelCode().equals(Optional.of(Code.PEER_LOST))) {
          throw new AssertionError("the channel ended otherwise: " + describe());
        }
        for (long step = 0; step < worker.next; step++) {
          check(process, step);
        }
      }
    }
  }

  private void check(SimProcess process, long step) {
    boolean good = List.of("received", "delivered").contains(process.outcome(step));
    Code code = process.failure(step);
    boolean lost = code == null || code == Code.PEER_LOST;
    boolean excused =
        (code == Code.TRANSFER_CANCELLED && cancelled.contains(step))
            || (code == Code.TRANSFER_TIMEOUT && trouble == Trouble.STOP);
    if (!good && !lost && !excused) {
      throw new AssertionError(
          "step %d failed with %s (%s): %s"
              .formatted(step, code, process.message(step), describe()));
    }
    if (!good
        && trouble != Trouble.STOP
        && !cancelled.contains(step)
        && mustArrive(process, step)) {
      throw new AssertionError(
          "step %d of %d on %s did not arrive though it could: '%s' %s; lost %s, %s"
              .formatted(
                  step,
                  begun,
                  process.host().name(),
                  process.outcome(step),
                  process.message(step) + process.channelMessage(),
                  dead,
                  describe()));
    }
  }

  private boolean mustArrive(SimProcess process, long step) {
    if (step >= begun || (isLost(Side.SRC) && (dead.size() > 1 || !hasReplicas(process)))) {
      return false;
    }
    // What a lost destination host did not get is not delivered; nor is what one gave up.
    return process.side() == Side.DST || (!isLost(Side.DST) && hasReplicas());
  }

  private boolean isLost(Side side) {
    return pair.mesh(side).hosts().stream().anyMatch(dead::contains);
  }

  private boolean hasReplicas() {
    return workers.stream()
        .filter(worker -> worker.process.side() == Side.DST)
        .allMatch(worker -> hasReplicas(worker.process));
  }

  /** Whether another source host holds all of what lost ones were to send to a host. */
  private boolean hasReplicas(SimProcess process) {
    Plan plan = process.info().plan();
    for (Move move : plan.moves()) {
      TensorReshard tensor = plan.request().tensors().get(move.tensor());
      if (dead.contains(tensor.src().mesh().hostOf(move.sender()))
          && move.route().contains(process.host().name())
          && !isHeldByAnother(tensor, tensor.src(), move)) {
        return false;
      }
    }
    return true;
  }

  private boolean isHeldByAnother(TensorReshard tensor, Sharding layout, Move move) {
    return IntStream.range(0, layout.mesh().size())
        .filter(device -> !dead.contains(layout.mesh().hostOf(device)))
        .anyMatch(device -> layout.tile(tensor.tensor().shape(), device).contains(move.box()));
  }

  /** All let go of what they hold: nothing is taken any more. */
  private void end() {
    dead.forEach(host -> cluster.host(host).die());
    workers.stream().filter(worker -> !worker.dead).forEach(w -> w.process.releaseAll());
    cluster.run(5 * SECOND);
    for (SimCluster.Host host : cluster.hosts()) {
      if (!host.transport().isDead() && host.arena().used() != 0) {
        throw new AssertionError(
            "host %s still holds %d bytes".formatted(host.name(), host.arena().used()));
      }
    }
  }

  /** Dead hosts come back; the others never stopped. */
  private void again() {
    dead.forEach(host -> cluster.start(host, Cases.options(chunkBytes, window)));
    cluster.join();
    open();
    for (Job.Worker worker : workers) {
      if (worker.process.side() == Side.DST) {
        worker.process.recv(0);
      } else {
        worker.process.send(0);
      }
    }
    cluster.until(
        () -> workers.stream().allMatch(worker -> worker.process.settled()), 2 * SECOND, "again");
    for (Job.Worker worker : workers) {
      if (!worker
          .process
          .outcome(0)
          .equals(worker.process.side() == Side.DST ? "received" : "delivered")) {
        throw new AssertionError("after another opening: " + describe());
      }
    }
    workers.forEach(worker -> worker.process.handle().close());
    cluster.until(
        () -> workers.stream().allMatch(worker -> worker.process.isOver()), SECOND, "closed");
    workers.forEach(worker -> worker.process.releaseAll());
  }

  private String describe() {
    List<String> words = new ArrayList<>();
    for (Job.Worker worker : workers) {
      SimProcess process = worker.process;
      List<String> outcomes = new ArrayList<>();
      for (long step = 0; step < worker.next; step++) {
        outcomes.add(
            process.failure(step) == null ? process.outcome(step) : process.failure(step) + "");
      }
      words.add(
          "%s %s%s %s %s %s"
              .formatted(
                  process.side(),
                  process.host().name(),
                  worker.dead ? " (dead)" : "",
                  outcomes,
                  process.channelCode(),
                  process.channelMessage()));
    }
    return trouble + "\n  " + String.join("\n  ", words);
  }
}
