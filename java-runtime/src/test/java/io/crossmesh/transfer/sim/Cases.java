package io.crossmesh.transfer.sim;

import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Device;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.Order;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.PlanRequest;
import io.crossmesh.plan.Planner;
import io.crossmesh.plan.Strategy;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.Contacts;
import io.crossmesh.transfer.EngineOptions;
import io.crossmesh.transfer.Side;
import io.crossmesh.transfer.TensorSide;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** Channels to try: fixed ones for people to read, random ones for properties. */
public final class Cases {
  private static final List<String> DTYPES =
      List.of("bool", "float16", "int32", "float64", "complex128");

  private Cases() {}

  /**
   * A planner that cuts the same plans into small chunks, so that small tensors have many. It plans
   * a request once, for all hosts that share it.
   */
  public static Function<PlanRequest, Plan> chunksOf(long bytes) {
    Map<PlanRequest, Plan> made = new HashMap<>();
    return request -> made.computeIfAbsent(request, of -> chunksOf(bytes, of));
  }

  private static Plan chunksOf(long bytes, PlanRequest request) {
    Plan plan = Planner.plan(request);
    List<Move> moves = new ArrayList<>();
    for (Move move : plan.moves()) {
      int element = request.tensors().get(move.tensor()).tensor().dtype().bytes();
      long chunk = Math.min(move.bytes(), Math.max(element, bytes / element * element));
      moves.add(
          new Move(
              move.tensor(),
              move.box(),
              move.bytes(),
              chunk,
              move.start(),
              move.end(),
              move.sender(),
              move.receivers(),
              move.route()));
    }
    return new Plan(
        plan.request(),
        plan.chosen(),
        plan.tasks(),
        moves,
        plan.makespan(),
        plan.lowerBound(),
        plan.bytesSent(),
        plan.bytesReceived(),
        plan.digest());
  }

  /** Longer than any host is stopped here, shorter than the timeouts of channels that lose one. */
  private static final long SILENCE_NANOS = TimeUnit.SECONDS.toNanos(4);

  /** Defaults with small chunks. */
  public static EngineOptions options(long chunkBytes, int window) {
    return new EngineOptions(
        chunksOf(chunkBytes),
        Runnable::run,
        Runnable::run,
        EngineOptions.COLD_BYTES_MAX,
        window,
        4096,
        true,
        true,
        SILENCE_NANOS,
        Contacts.none());
  }

  public static TensorSide tensor(
      String key, List<Long> shape, String dtype, Mesh mesh, String layout) {
    return new TensorSide(
        new TensorSpec(key, shape, DType.of(dtype)), Sharding.parse(mesh, layout));
  }

  /** An opening with a timeout of a simulated second. */
  public static ChannelOpen open(
      String name, Side side, List<TensorSide> tensors, List<Integer> devices, int depth) {
    return new ChannelOpen(
        name,
        side,
        tensors,
        devices,
        depth,
        TimeUnit.SECONDS.toNanos(1),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        "process of " + name);
  }

  /** Both sides of a random channel. */
  public record Pair(
      List<TensorSide> src,
      List<TensorSide> dst,
      Optional<Strategy> strategy,
      Optional<Order> order) {
    /** The mesh of a side. */
    public Mesh mesh(Side side) {
      return (side == Side.SRC ? src : dst).getFirst().layout().mesh();
    }

    /** The hosts of both meshes. */
    public Set<String> hosts() {
      Set<String> hosts = new TreeSet<>(mesh(Side.SRC).hosts());
      hosts.addAll(mesh(Side.DST).hosts());
      return hosts;
    }
  }

  public static Pair random(Random dice, List<String> hosts, int elementsMax) {
    Mesh from = mesh(dice, hosts);
    Mesh to = mesh(dice, hosts);
    int tensors = 1 + dice.nextInt(3);
    List<TensorSide> src = new ArrayList<>();
    List<TensorSide> dst = new ArrayList<>();
    for (int t = 0; t < tensors; t++) {
      int rank = dice.nextInt(4);
      List<Long> shape = new ArrayList<>();
      long volume = 1;
      for (int d = 0; d < rank; d++) {
        long extent = dice.nextInt(12) == 0 ? 0 : 1 + dice.nextInt(17);
        extent = volume * extent > elementsMax ? 1 : extent;
        volume *= Math.max(1, extent);
        shape.add(extent);
      }
      String dtype = DTYPES.get(dice.nextInt(DTYPES.size()));
      TensorSpec spec = new TensorSpec("t" + t, shape, DType.of(dtype));
      src.add(new TensorSide(spec, layout(dice, from, rank)));
      dst.add(new TensorSide(spec, layout(dice, to, rank)));
    }
    return new Pair(src, dst, oneOf(dice, Strategy.values()), oneOf(dice, Order.values()));
  }

  private static <T> Optional<T> oneOf(Random dice, T[] values) {
    int n = dice.nextInt(values.length + 1);
    return n == values.length ? Optional.empty() : Optional.of(values[n]);
  }

  private static Mesh mesh(Random dice, List<String> hosts) {
    List<Integer> shape =
        List.of(
                List.of(1, 1),
                List.of(1, 2),
                List.of(2, 2),
                List.of(2, 3),
                List.of(4, 1),
                List.of(2, 4))
            .get(dice.nextInt(6));
    int size = shape.get(0) * shape.get(1);
    List<Device> pool = new ArrayList<>();
    for (String host : hosts) {
      for (int i = 0; i < 4; i++) {
        pool.add(new Device(host, i));
      }
    }
    if (dice.nextBoolean()) {
      Collections.shuffle(pool, dice);
    } else {
      Collections.rotate(pool, dice.nextInt(pool.size()));
    }
    return new Mesh(shape, List.of(), pool.subList(0, size));
  }

  private static Sharding layout(Random dice, Mesh mesh, int rank) {
    List<Integer> axes = new ArrayList<>(List.of(0, 1));
    Collections.shuffle(axes, dice);
    List<List<Integer>> spec = new ArrayList<>();
    for (int d = 0; d < rank; d++) {
      List<Integer> of = new ArrayList<>();
      while (!axes.isEmpty() && dice.nextInt(3) == 0) {
        of.add(axes.removeFirst());
      }
      spec.add(of);
    }
    return new Sharding(mesh, spec);
  }
}
