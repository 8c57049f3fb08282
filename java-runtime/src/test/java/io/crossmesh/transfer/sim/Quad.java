package io.crossmesh.transfer.sim;

import io.crossmesh.mesh.Mesh;
import io.crossmesh.plan.Strategy;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.EngineOptions;
import io.crossmesh.transfer.Side;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/** A cluster to read tests by: hosts a and b hold a 2x2 source mesh, c and d a 2x2 destination. */
public final class Quad implements AutoCloseable {
  public static final long SECOND = TimeUnit.SECONDS.toNanos(1);
  public static final Mesh SRC = Mesh.ofHosts(List.of(2, 2), List.of("a", "b"));
  public static final Mesh DST = Mesh.ofHosts(List.of(2, 2), List.of("c", "d"));

  private final SimCluster cluster;

  public Quad(Path directory, long arenaBytes) {
    this(directory, arenaBytes, Cases.options(64, 4));
  }

  /** Host d gets other options than the rest. */
  public Quad(Path directory, long arenaBytes, EngineOptions ofHostD) {
    this(directory, arenaBytes, ofHostD, new Random(1), SimNetwork.Weather.FAIR);
  }

  /** With a seed and weather of its own. */
  public Quad(
      Path directory,
      long arenaBytes,
      EngineOptions ofHostD,
      Random dice,
      SimNetwork.Weather weather) {
    this(directory, arenaBytes, Cases.options(64, 4), ofHostD, dice, weather);
  }

  /** With options of the hosts a, b and c as well. */
  public Quad(
      Path directory,
      long arenaBytes,
      EngineOptions options,
      EngineOptions ofHostD,
      Random dice,
      SimNetwork.Weather weather) {
    cluster = new SimCluster(dice, weather, directory, arenaBytes);
    for (String host : List.of("a", "b", "c")) {
      cluster.start(host, options);
    }
    cluster.start("d", ofHostD);
    cluster.join();
  }

  public SimCluster cluster() {
    return cluster;
  }

  public SimCluster.Host host(String name) {
    return cluster.host(name);
  }

  /** What a process of this host would open: a tensor "w" of 8 x 24 int32 for its whole host. */
  public static ChannelOpen request(String channel, String host, String layout, int depth) {
    Side side = SRC.hosts().contains(host) ? Side.SRC : Side.DST;
    Mesh mesh = side == Side.SRC ? SRC : DST;
    List<Integer> devices =
        IntStream.range(0, mesh.size()).filter(i -> mesh.hostOf(i).equals(host)).boxed().toList();
    return Cases.open(
        channel,
        side,
        List.of(Cases.tensor("w", List.of(8L, 24L), "int32", mesh, layout)),
        devices,
        depth);
  }

  public static ChannelOpen with(ChannelOpen open, Strategy strategy) {
    return new ChannelOpen(
        open.name(),
        open.side(),
        open.tensors(),
        open.devices(),
        open.depth(),
        open.timeoutNanos(),
        Optional.of(strategy),
        open.order(),
        open.topology(),
        open.owner());
  }

  /** The parties of one channel. */
  public record Parties(SimProcess a, SimProcess b, SimProcess c, SimProcess d) {
    public List<SimProcess> all() {
      return List.of(a, b, c, d);
    }

    public List<SimProcess> senders() {
      return List.of(a, b);
    }

    public List<SimProcess> receivers() {
      return List.of(c, d);
    }
  }

  /** Opens a channel on all four hosts; it is not open yet. */
  public Parties start(String channel, int depth) {
    List<SimProcess> processes = new ArrayList<>();
    for (String host : List.of("a", "b", "c", "d")) {
      String layout = SRC.hosts().contains(host) ? "S0 S1" : "R S0";
      processes.add(host(host).open(request(channel, host, layout, depth)));
    }
    return new Parties(processes.get(0), processes.get(1), processes.get(2), processes.get(3));
  }

  /** Opens a channel on all four hosts and waits for it. */
  public Parties open(String channel, int depth) {
    Parties parties = start(channel, depth);
    cluster.until(
        () -> parties.all().stream().allMatch(SimProcess::isOpen), SECOND / 2, "open " + channel);
    return parties;
  }

  /** Opens channel "x" of depth 2 between these layouts on all four hosts and waits for it. */
  public Parties open(String src, String dst, Strategy strategy) {
    List<SimProcess> processes = new ArrayList<>();
    for (String host : List.of("a", "b", "c", "d")) {
      ChannelOpen request = request("x", host, SRC.hosts().contains(host) ? src : dst, 2);
      processes.add(host(host).open(with(request, strategy)));
    }
    cluster.until(() -> processes.stream().allMatch(SimProcess::isOpen), SECOND / 2, "open x");
    return new Parties(processes.get(0), processes.get(1), processes.get(2), processes.get(3));
  }

  /** Everybody takes part in one step. */
  public void step(Parties parties, long step) {
    parties.senders().forEach(sender -> sender.send(step));
    parties.receivers().forEach(receiver -> receiver.recv(step));
    settle(parties);
  }

  /** Waits until every call of these processes has its answer. */
  public void settle(Parties parties) {
    cluster.until(
        () -> parties.all().stream().allMatch(SimProcess::settled), 3 * SECOND, "settled");
  }

  /** Waits until nothing more will come to these processes. */
  public void over(List<SimProcess> processes) {
    cluster.until(
        () -> processes.stream().allMatch(SimProcess::isOver), 3 * SECOND, "the channel's end");
  }

  @Override
  public void close() {
    cluster.close();
  }
}
