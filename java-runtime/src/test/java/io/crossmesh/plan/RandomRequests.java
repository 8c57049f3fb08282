package io.crossmesh.plan;

import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Device;
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

/**
 * Small requests of every kind, by seed: any rank, uneven and empty shapes, any placement, meshes
 * that share hosts and devices, unequal NICs, shared limits, several tensors, some with deadlines.
 */
final class RandomRequests {
  private static final List<String> HOSTS = List.of("a", "b", "c", "d", "e");
  private static final List<String> DTYPES =
      List.of("bool", "bfloat16", "float32", "float64", "complex128", "complex256", "int4");

  private static final List<Strategy> STRATEGIES = List.of(Strategy.values());
  private static final List<Order> ORDERS = List.of(Order.values());

  private final Random random;

  RandomRequests(long seed) {
    random = new Random(seed);
  }

  PlanRequest next() {
    Mesh src = mesh();
    Mesh dst = random.nextInt(8) == 0 ? src : mesh();
    List<TensorReshard> tensors = new ArrayList<>();
    int count = 1 + random.nextInt(3);
    for (int i = 0; i < count; i++) {
      int rank = random.nextInt(5);
      List<Long> shape = new ArrayList<>();
      for (int d = 0; d < rank; d++) {
        shape.add((long) (random.nextInt(20) == 0 ? 0 : 1 + random.nextInt(rank > 3 ? 5 : 11)));
      }
      DType dtype = DType.of(DTYPES.get(random.nextInt(DTYPES.size())));
      TensorSpec tensor = new TensorSpec("t" + i, shape, dtype);
      TensorReshard reshard = new TensorReshard(tensor, sharding(src, rank), sharding(dst, rank));
      tensors.add(random.nextInt(4) == 0 ? reshard.by(1e-6 * random.nextInt(5)) : reshard);
    }
    Strategy strategy = STRATEGIES.get(random.nextInt(STRATEGIES.size()));
    Order order = ORDERS.get(random.nextInt(ORDERS.size()));
    return new PlanRequest(tensors, topology(), strategy, order);
  }

  private Mesh mesh() {
    int rank = random.nextInt(4);
    List<Integer> shape = new ArrayList<>();
    int size = 1;
    for (int axis = 0; axis < rank; axis++) {
      shape.add(1 + random.nextInt(3));
      size *= shape.getLast();
    }
    List<Device> all = new ArrayList<>();
    int hosts = 1 + random.nextInt(HOSTS.size());
    int first = random.nextInt(HOSTS.size());
    for (int i = 0; i < hosts; i++) {
      for (int local = 0; local < size; local++) {
        all.add(new Device(HOSTS.get((first + i) % HOSTS.size()), local));
      }
    }
    if (random.nextBoolean()) {
      Collections.shuffle(all, random);
    }
    return new Mesh(shape, List.of(), all.subList(0, size));
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
      if (rank > 0 && random.nextInt(4) != 0) {
        spec.get(random.nextInt(rank)).add(axis);
      }
    }
    return new Sharding(mesh, spec);
  }

  private Topology topology() {
    SortedMap<String, List<Nic>> hosts = new TreeMap<>();
    boolean uniform = random.nextBoolean();
    for (String host : HOSTS) {
      int nics = uniform ? 1 : 1 + random.nextInt(3);
      hosts.put(
          host,
          Collections.nCopies(nics, new Nic(uniform ? 1e9 : 1e8 * (1 + random.nextInt(9)), 1e-5)));
    }
    List<Limit> limits = new ArrayList<>();
    if (random.nextInt(4) == 0) {
      limits.add(new Limit(HOSTS.subList(0, 1 + random.nextInt(4)), 5e8));
    }
    return new Topology(hosts, limits);
  }
}
