package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * How the bytes that leave each set of holders are divided among them so that the busiest NIC is
 * done as early as any division allows: a maximum flow from the sets through their hosts, each host
 * letting through what its NIC can send in that time.
 */
final class Shares {
  private final Map<List<Integer>, double[]> byHolders;

  private Shares(Map<List<Integer>, double[]> byHolders) {
    this.byHolders = byHolders;
  }

  /** The division of the bytes that each set of hosts, in any order, has to send. */
  static Shares of(Map<List<Integer>, Long> demand, Network network) {
    if (demand.isEmpty()) {
      return new Shares(Map.of());
    }
    double seconds = LowerBound.egress(demand, network);
    List<Map.Entry<List<Integer>, Long>> sets = new ArrayList<>(demand.entrySet());
    // Hash maps list in any order, and which of several maximum flows is found depends on it.
    sets.sort((x, y) -> compare(x.getKey(), y.getKey()));
    int hosts = network.size();
    int source = hosts + sets.size();
    MaxFlow flow = new MaxFlow(source + 2, source, source + 1);
    for (int host = 0; host < hosts; host++) {
      flow.edge(host, source + 1, seconds * network.bandwidth(host));
    }
    Map<List<Integer>, int[]> edges = new HashMap<>();
    for (int i = 0; i < sets.size(); i++) {
      List<Integer> set = sets.get(i).getKey();
      flow.edge(source, hosts + i, sets.get(i).getValue());
      int[] numbers = new int[set.size()];
      for (int h = 0; h < numbers.length; h++) {
        numbers[h] = flow.edge(hosts + i, set.get(h), Double.POSITIVE_INFINITY);
      }
      edges.put(set, numbers);
    }
    flow.minimumCut();
    Map<List<Integer>, double[]> shares = new HashMap<>();
    edges.forEach(
        (set, numbers) -> {
          double[] of = new double[numbers.length];
          double sum = 0;
          for (int h = 0; h < of.length; h++) {
            of[h] = flow.flow(numbers[h]);
            sum += of[h];
          }
          for (int h = 0; h < of.length; h++) {
            of[h] = sum > 0 ? of[h] / sum : 1.0 / of.length;
          }
          shares.put(set, of);
        });
    return new Shares(shares);
  }

  /** The fraction that each of the hosts sends of what all of them hold. */
  double[] of(List<Integer> holders) {
    double[] shares = byHolders.get(holders);
    if (shares == null) {
      throw new IllegalArgumentException("no bytes leave the hosts " + holders);
    }
    return shares;
  }

  private static int compare(List<Integer> x, List<Integer> y) {
    for (int i = 0; i < Math.min(x.size(), y.size()); i++) {
      int by = Integer.compare(x.get(i), y.get(i));
      if (by != 0) {
        return by;
      }
    }
    return Integer.compare(x.size(), y.size());
  }
}
