package io.crossmesh.transfer.sim;

import io.crossmesh.memory.Arena;
import io.crossmesh.plan.Plan;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.EngineOptions;
import io.crossmesh.transfer.EngineStatus;
import io.crossmesh.transfer.PeerSpec;
import io.crossmesh.transfer.Side;
import io.crossmesh.transfer.TransferEngine;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.function.BooleanSupplier;
import java.util.function.ToIntFunction;

/** Engines of several hosts in one thread, driven in random order until nothing is left to do. */
public final class SimCluster implements AutoCloseable {
  private static final int ROUNDS_MAX = 2_000_000;

  private final SimClock clock = new SimClock();
  private final Random dice;
  private final SimNetwork network;
  private final Path directory;
  private final long arenaBytes;
  private final Map<String, Host> hosts = new HashMap<>();
  private final List<Host> order = new ArrayList<>();
  private final List<Host> started = new ArrayList<>();
  private final Set<Host> stalled = new HashSet<>();
  private long nextEpoch = 1;

  /** One agent. */
  public final class Host {
    private final String name;
    private final long epoch;
    private final SimTransport transport;
    private final Arena arena;
    private final TransferEngine engine;
    private final List<SimProcess> processes = new ArrayList<>();
    private final Map<String, Integer> counts = new HashMap<>();

    Host(String name, EngineOptions options) {
      this.name = name;
      this.epoch = nextEpoch++ * 1_000_003;
      this.transport = network.transport(name + "#" + epoch);
      this.arena = Arena.create(directory.resolve("arena-" + name + "-" + epoch), arenaBytes);
      this.engine = new TransferEngine(name, epoch, clock, transport, arena, options);
      engine.start();
    }

    public String name() {
      return name;
    }

    public Arena arena() {
      return arena;
    }

    public TransferEngine engine() {
      return engine;
    }

    public SimTransport transport() {
      return transport;
    }

    /** A process on this host opens a channel. */
    public SimProcess open(ChannelOpen request) {
      SimProcess process = new SimProcess(this, request);
      counts.merge(request.name() + request.side(), 1, Integer::sum);
      process.attach(engine.open(request, process));
      processes.add(process);
      return process;
    }

    /** Every process closes its end and lets go of what it holds. */
    public void closeAll() {
      for (SimProcess process : processes) {
        process.handle().close();
        process.releaseAll();
      }
    }

    long now() {
      return clock.nanos();
    }

    int processes(String channel, Side side) {
      return counts.getOrDefault(channel + side, 0);
    }

    PeerSpec spec() {
      return new PeerSpec(name, epoch, transport.address());
    }

    /** The agent is killed. */
    public void die() {
      transport.die();
    }

    /** The host's cable is pulled, which nobody is told. */
    public void cutOff() {
      transport.cutOff();
    }

    /** Its cable is in again. */
    public void comeBack() {
      transport.comeBack();
    }

    public EngineStatus status() {
      CompletableFuture<EngineStatus> reading = engine.status();
      engine.doWork();
      return reading.join();
    }
  }

  private ToIntFunction<TransferEngine> driver = TransferEngine::doWork;

  public SimCluster(Random dice, SimNetwork.Weather weather, Path directory, long arenaBytes) {
    this.dice = dice;
    this.network = new SimNetwork(clock, dice, weather);
    this.directory = directory;
    this.arenaBytes = arenaBytes;
  }

  /** Starts an agent; {@link #join} makes it known. */
  public Host start(String name, EngineOptions options) {
    Host host = new Host(name, options);
    Host before = hosts.put(name, host);
    if (before != null) {
      order.remove(before);
    }
    order.add(host);
    started.add(host);
    return host;
  }

  /** Tells every agent who all are, in random order. */
  public void join() {
    List<PeerSpec> all = order.stream().filter(h -> !h.transport.isDead()).map(Host::spec).toList();
    List<Host> shuffled = new ArrayList<>(order);
    Collections.shuffle(shuffled, dice);
    for (Host host : shuffled) {
      host.engine.setPeers(all);
      for (int i = dice.nextInt(3); i > 0; i--) {
        round();
      }
    }
  }

  /** The network loses nothing from now on. */
  public void loseNothing() {
    network.loseNothing();
  }

  /** Whether the agent of this name, if there is one, is in another than its first life. */
  boolean wasRestarted(String name) {
    return started.stream().filter(host -> host.name.equals(name)).count() > 1;
  }

  public Host host(String name) {
    Host host = hosts.get(name);
    if (host == null) {
      throw new IllegalArgumentException(name);
    }
    return host;
  }

  public List<Host> hosts() {
    return List.copyOf(order);
  }

  /** The agent does nothing until it is woken, as a stopped process. */
  public void stall(Host host, boolean still) {
    if (still) {
      stalled.add(host);
    } else {
      stalled.remove(host);
    }
  }

  public long now() {
    return clock.nanos();
  }

  /** Has each turn of an engine made by something else than a plain call. */
  public void drive(ToIntFunction<TransferEngine> turn) {
    driver = turn;
  }

  /** Everybody has a turn, in random order; whether anybody did something. */
  public boolean round() {
    List<Host> shuffled = new ArrayList<>(order);
    Collections.shuffle(shuffled, dice);
    boolean worked = false;
    for (Host host : shuffled) {
      if (!host.transport.isDead() && !stalled.contains(host)) {
        worked |= driver.applyAsInt(host.engine) > 0;
      }
    }
    return worked;
  }

  /** Lets time pass to the next event or deadline within a limit; false when there is none. */
  private boolean tick(long limitNanos) {
    long next = limitNanos;
    for (Host host : order) {
      if (!host.transport.isDead() && !stalled.contains(host)) {
        next = Math.min(next, host.transport.nextEvent());
        next =
            Math.min(next, clock.nanos() + host.engine.nanosToDeadline(limitNanos - clock.nanos()));
      }
    }
    boolean moved = next < limitNanos;
    clock.advanceTo(next);
    return moved;
  }

  /** Runs until the condition holds; fails when it does not within this much simulated time. */
  public void until(BooleanSupplier condition, long nanos, String what) {
    long limit = clock.nanos() + nanos;
    for (int rounds = 0; !condition.getAsBoolean(); rounds++) {
      if (clock.nanos() >= limit || rounds > ROUNDS_MAX) {
        throw new AssertionError("not within %d ns: %s".formatted(nanos, what));
      }
      if (!round()) {
        tick(limit);
      }
    }
  }

  /** Runs for this much simulated time. */
  public void run(long nanos) {
    long limit = clock.nanos() + nanos;
    while (clock.nanos() < limit) {
      if (!round()) {
        tick(limit);
      }
    }
    while (round()) {
      // what is due now
    }
  }

  /** Sums what the hosts of a plan have sent and received and compares it with the plan. */
  public static void checkBytes(Plan plan, long steps, Map<String, EngineStatus.Channel> status) {
    status.forEach(
        (host, channel) -> {
          long sent = plan.bytesSent().getOrDefault(host, 0L) * steps;
          long received = plan.bytesReceived().getOrDefault(host, 0L) * steps;
          if (channel.bulkBytesSent() != sent || channel.bulkBytesReceived() != received) {
            throw new AssertionError(
                "host %s sent %d and received %d bytes; the plan says %d and %d"
                    .formatted(
                        host,
                        channel.bulkBytesSent(),
                        channel.bulkBytesReceived(),
                        sent,
                        received));
          }
        });
  }

  @Override
  public void close() {
    for (Host host : started) {
      if (!host.transport.isDead()) {
        host.engine.close();
      }
    }
    started.forEach(host -> host.arena.close());
  }
}
