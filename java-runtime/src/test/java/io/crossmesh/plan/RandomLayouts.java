package io.crossmesh.plan;

import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Limit;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Nic;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.mesh.Topology;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Large reshards between disjoint meshes of 1 to 6 hosts, by seed: any layout, ranks 1 to 4,
 * extents that divide evenly and that do not, 64 MiB and more. NICs are equal and without latency.
 */
final class RandomLayouts {
  /** Bytes per second of every NIC. */
  static final double BANDWIDTH = 1e9;

  private static final long MIN_BYTES = 64L << 20;
  private static final int ELEMENT = 4;
  private static final long EVEN = 144;

  private final Random random;

  private RandomLayouts(long seed) {
    random = new Random(seed);
  }

  static PlanRequest request(long seed, Order order) {
    return request(seed, Strategy.AUTO, order);
  }

  static PlanRequest request(long seed, Strategy strategy, Order order) {
    return new RandomLayouts(seed).request(strategy, order);
  }

  /** The same layout where each host has one to four NICs, of half the bandwidth or all of it. */
  static PlanRequest uneven(long seed) {
    PlanRequest request = request(seed, Order.OPTIMAL);
    Random random = new Random(~seed);
    SortedMap<String, List<Nic>> hosts = new TreeMap<>();
    for (String host : request.hosts()) {
      Nic nic = new Nic(BANDWIDTH / (1 + random.nextInt(2)), 0);
      hosts.put(host, Collections.nCopies(1 + random.nextInt(4), nic));
    }
    return over(request, new Topology(hosts, List.of()));
  }

  /**
   * The same layout where all hosts, in random order, stand in two racks whose uplinks have the
   * bandwidth of half their hosts, but of one NIC at least.
   */
  static PlanRequest racks(long seed) {
    PlanRequest request = request(seed, Order.OPTIMAL);
    List<String> hosts = new ArrayList<>(request.hosts());
    Collections.shuffle(hosts, new Random(~seed));
    List<Limit> limits = new ArrayList<>();
    int half = hosts.size() / 2;
    for (List<String> rack : List.of(hosts.subList(0, half), hosts.subList(half, hosts.size()))) {
      limits.add(new Limit(rack, BANDWIDTH * Math.max(1, rack.size() / 2)));
    }
    return over(request, new Topology(request.topology().hosts(), limits));
  }

  private static PlanRequest over(PlanRequest request, Topology topology) {
    return new PlanRequest(request.tensors(), topology, request.strategy(), request.order());
  }

  private PlanRequest request(Strategy strategy, Order order) {
    Mesh src = mesh("s");
    Mesh dst = mesh("d");
    int rank = 1 + random.nextInt(4);
    TensorSpec tensor = new TensorSpec("", shape(rank), DType.of("float32"));
    TensorReshard reshard = new TensorReshard(tensor, sharding(src, rank), sharding(dst, rank));
    Topology topology = Topology.uniform(PlanRequest.hosts(List.of(reshard)), BANDWIDTH, 0, 1);
    return new PlanRequest(List.of(reshard), topology, strategy, order);
  }

  private Mesh mesh(String prefix) {
    int hosts = 1 + random.nextInt(6);
    int perHost = 1 + random.nextInt(4);
    List<Integer> shape = new ArrayList<>();
    if (random.nextBoolean()) {
      shape.addAll(List.of(hosts, perHost));
    } else {
      int left = hosts * perHost;
      while (left > 1 && shape.size() < 2) {
        int size = left;
        List<Integer> factors =
            IntStream.rangeClosed(2, size).filter(i -> size % i == 0).boxed().toList();
        shape.add(factors.get(random.nextInt(factors.size())));
        left /= shape.getLast();
      }
      if (left > 1 || shape.isEmpty()) {
        shape.add(left);
      }
    }
    return Mesh.ofHosts(shape, IntStream.range(0, hosts).mapToObj(i -> prefix + i).toList());
  }

  private Sharding sharding(Mesh mesh, int rank) {
    List<List<Integer>> spec = new ArrayList<>();
    for (int d = 0; d < rank; d++) {
      spec.add(new ArrayList<>());
    }
    List<Integer> axes = new ArrayList<>();
    for (int axis = 0; axis < mesh.rank(); axis++) {
      axes.add(axis);
    }
    Collections.shuffle(axes, random);
    for (int axis : axes) {
      if (random.nextInt(3) != 0) {
        spec.get(random.nextInt(rank)).add(axis);
      }
    }
    return new Sharding(mesh, spec);
  }

  private List<Long> shape(int rank) {
    double left = (double) (MIN_BYTES / ELEMENT) * (1 << random.nextInt(3));
    boolean even = random.nextBoolean();
    List<Long> shape = new ArrayList<>();
    for (int d = 0; d < rank; d++) {
      double share = Math.pow(left, 1.0 / (rank - d));
      if (d < rank - 1) {
        share *= Math.pow(2, random.nextInt(5) - 2);
      }
      long extent =
          even
              ? Math.max(1, Math.round(share / EVEN)) * EVEN
              : (long) Math.ceil(share) + random.nextInt(5);
      shape.add(Math.max(1, extent));
      left = Math.max(1, left / shape.getLast());
    }
    while (shape.stream().reduce(1L, (x, y) -> x * y) * ELEMENT < MIN_BYTES) {
      shape.set(0, shape.getFirst() + (even ? EVEN : 1));
    }
    return shape;
  }
}
