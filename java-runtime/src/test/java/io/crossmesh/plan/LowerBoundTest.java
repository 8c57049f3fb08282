package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Limit;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Nic;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.mesh.Topology;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class LowerBoundTest {
  private static IntStream seeds() {
    return IntStream.range(0, 200);
  }

  private static Topology topology(double... bandwidths) {
    SortedMap<String, List<Nic>> hosts = new TreeMap<>();
    for (int i = 0; i < bandwidths.length; i++) {
      hosts.put("h" + i, List.of(new Nic(bandwidths[i], 0)));
    }
    return new Topology(hosts, List.of());
  }

  private static Network network(Topology topology) {
    return new Network(topology, new TreeSet<>(topology.hosts().keySet()));
  }

  private static double bound(Topology topology, Mesh src, String from, Mesh dst, String to) {
    TensorSpec tensor = new TensorSpec("", List.of(1000L), DType.of("int8"));
    TensorReshard reshard =
        new TensorReshard(tensor, Sharding.parse(src, from), Sharding.parse(dst, to));
    return Planner.plan(new PlanRequest(List.of(reshard), topology, Strategy.AUTO, Order.SIZE))
        .lowerBound();
  }

  /** By duality the least makespan is the largest ratio over all subsets of the demands. */
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void egressEqualsTheLargestRatioOverAllSubsets(int seed) {
    Random random = new Random(seed);
    int hosts = 1 + random.nextInt(6);
    double[] bandwidth = random.doubles(hosts, 1e8, 1e9).toArray();
    Map<List<Integer>, Long> demand = new HashMap<>();
    int sets = 1 + random.nextInt(9);
    for (int i = 0; i < sets; i++) {
      Set<Integer> holders = new HashSet<>();
      for (int k = random.nextInt(hosts); k >= 0; k--) {
        holders.add(random.nextInt(hosts));
      }
      demand.merge(List.copyOf(holders), 1 + random.nextLong(1L << 30), Long::sum);
    }
    List<Map.Entry<List<Integer>, Long>> entries = List.copyOf(demand.entrySet());
    double best = 0;
    for (int subset = 1; subset < 1 << entries.size(); subset++) {
      double bytes = 0;
      Set<Integer> holders = new HashSet<>();
      for (int i = 0; i < entries.size(); i++) {
        if ((subset >> i & 1) == 1) {
          bytes += entries.get(i).getValue();
          holders.addAll(entries.get(i).getKey());
        }
      }
      best = Math.max(best, bytes / holders.stream().mapToDouble(h -> bandwidth[h]).sum());
    }
    assertThat(LowerBound.egress(demand, network(topology(bandwidth))))
        .isCloseTo(best, within(best * 1e-9));
  }

  @Test
  void ingressIsWhatTheSlowestReceiverNeeds() {
    Mesh src = Mesh.ofHosts(List.of(1), List.of("h0"));
    Mesh dst = Mesh.ofHosts(List.of(2), List.of("h1", "h2"));
    assertThat(bound(topology(1e6, 1e6, 1e3), src, "R", dst, "S0")).isEqualTo(500 / 1e3);
  }

  @Test
  void unequalHoldersShareInProportionToTheirBandwidth() {
    Mesh src = Mesh.ofHosts(List.of(2), List.of("h0", "h1"));
    Mesh dst = Mesh.ofHosts(List.of(1), List.of("h2"));
    assertThat(bound(topology(1e3, 3e3, 1e9), src, "R", dst, "R"))
        .isCloseTo(1000 / 4e3, within(1e-12));
  }

  @Test
  void aSliceForManyReceiversLeavesItsHoldersOnce() {
    Mesh src = Mesh.ofHosts(List.of(1), List.of("h0"));
    Mesh dst = Mesh.ofHosts(List.of(3), List.of("h1", "h2", "h3"));
    assertThat(bound(topology(1e3, 1e9, 1e9, 1e9), src, "R", dst, "R")).isEqualTo(1.0);
  }

  @Test
  void whatAHostHoldsIsNotCounted() {
    Mesh mesh = Mesh.ofHosts(List.of(2), List.of("h0", "h1"));
    assertThat(bound(topology(1e3, 1e3), mesh, "R", mesh, "S0")).isZero();
    assertThat(bound(topology(1e3, 1e3), mesh, "S0", mesh, "R")).isEqualTo(0.5);
  }

  @Test
  void aSharedUplinkBoundsWhatMustPassIt() {
    List<String> rack = List.of("h2", "h3");
    Topology topology =
        new Topology(topology(1e6, 1e6, 1e6, 1e6).hosts(), List.of(new Limit(rack, 1e3)));
    Mesh src = Mesh.ofHosts(List.of(2), List.of("h0", "h1"));
    Mesh dst = Mesh.ofHosts(List.of(2), rack);
    assertThat(bound(topology, src, "S0", dst, "S0")).isEqualTo(1.0);
    assertThat(bound(topology, dst, "S0", src, "R")).isEqualTo(1.0);
    assertThat(bound(topology, dst, "S0", dst, "R")).isEqualTo(500 / 1e6);
  }

  @Test
  void setsInAnyOrderAreOneSet() {
    Map<List<Integer>, Long> demand = new HashMap<>();
    demand.put(List.of(0, 1), 1000L);
    demand.put(List.of(1, 0), 1000L);
    assertThat(LowerBound.egress(demand, network(topology(1e3, 1e3))))
        .isCloseTo(1.0, within(1e-12));
    assertThat(LowerBound.egress(Map.of(), network(topology(1e3)))).isZero();
  }

  @Test
  void manyHostsAndSetsAreSolvedQuickly() {
    int hosts = 500;
    Random random = new Random(7);
    List<Map.Entry<List<Integer>, Long>> entries = new ArrayList<>();
    for (int i = 0; i < 2000; i++) {
      entries.add(
          Map.entry(
              random.ints(4, 0, hosts).distinct().boxed().toList(), 1 + random.nextLong(1 << 20)));
    }
    Map<List<Integer>, Long> demand = new HashMap<>();
    entries.forEach(entry -> demand.merge(entry.getKey(), entry.getValue(), Long::sum));
    double[] bandwidth = random.doubles(hosts, 1e8, 1e9).toArray();
    double total = demand.values().stream().mapToLong(Long::longValue).sum();
    double sum = IntStream.range(0, hosts).mapToDouble(h -> bandwidth[h]).sum();
    assertThat(LowerBound.egress(demand, network(topology(bandwidth))))
        .isGreaterThanOrEqualTo(total / sum * (1 - 1e-9));
  }
}
