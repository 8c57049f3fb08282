package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A maximum flow of bytes from sets of hosts that hold them, by class, through as many layers of
 * hosts as there are classes: bytes of a class enter at its layer and pass all later ones.
 */
final class LayeredFlow {
  private final List<Map<List<Integer>, int[]>> edges = new ArrayList<>();
  private final MaxFlow flow;
  private final double bytes;

  private LayeredFlow(MaxFlow flow, double bytes) {
    this.flow = flow;
    this.bytes = bytes;
  }

  /** The flow when each layer lets through what the NICs can send in so many seconds. */
  static LayeredFlow of(List<Map<List<Integer>, Long>> demands, double[] seconds, Network network) {
    int hosts = network.size();
    int sets = demands.stream().mapToInt(Map::size).sum();
    double bytes = 0;
    for (Map<List<Integer>, Long> demand : demands) {
      bytes += demand.values().stream().mapToLong(Long::longValue).sum();
    }
    int layers = demands.size();
    int set = layers * hosts;
    int source = set + sets;
    MaxFlow flow = new MaxFlow(source + 2, source, source + 1);
    LayeredFlow layered = new LayeredFlow(flow, bytes);
    for (int k = 0; k < layers; k++) {
      for (int host = 0; host < hosts; host++) {
        int next = k + 1 < layers ? (k + 1) * hosts + host : source + 1;
        flow.edge(k * hosts + host, next, seconds[k] * network.bandwidth(host));
      }
    }
    for (int k = 0; k < layers; k++) {
      List<Map.Entry<List<Integer>, Long>> sorted = new ArrayList<>(demands.get(k).entrySet());
      // Hash maps list in any order, and which of several maximum flows is found depends on it.
      sorted.sort((x, y) -> compare(x.getKey(), y.getKey()));
      Map<List<Integer>, int[]> numbers = new HashMap<>();
      for (Map.Entry<List<Integer>, Long> demand : sorted) {
        flow.edge(source, set, demand.getValue());
        numbers.put(demand.getKey(), layered.enter(set, k * hosts, demand.getKey()));
        set++;
      }
      layered.edges.add(numbers);
    }
    flow.minimumCut();
    return layered;
  }

  private int[] enter(int set, int layer, List<Integer> holders) {
    return holders.stream()
        .mapToInt(host -> flow.edge(set, layer + host, Double.POSITIVE_INFINITY))
        .toArray();
  }

  /** The part of all bytes that flows. */
  double filled() {
    double flows = 0;
    for (Map<List<Integer>, int[]> numbers : edges) {
      for (int[] of : numbers.values()) {
        for (int edge : of) {
          flows += flow.flow(edge);
        }
      }
    }
    return bytes == 0 ? 1 : flows / bytes;
  }

  /** The fraction of each set's bytes that leaves each of its hosts, by class. */
  List<Map<List<Integer>, double[]>> shares() {
    List<Map<List<Integer>, double[]>> shares = new ArrayList<>();
    for (Map<List<Integer>, int[]> numbers : edges) {
      Map<List<Integer>, double[]> byHolders = new HashMap<>();
      numbers.forEach((set, of) -> byHolders.put(set, fractions(of)));
      shares.add(byHolders);
    }
    return shares;
  }

  private double[] fractions(int[] numbers) {
    double[] of = new double[numbers.length];
    double sum = 0;
    for (int h = 0; h < of.length; h++) {
      of[h] = flow.flow(numbers[h]);
      sum += of[h];
    }
    for (int h = 0; h < of.length; h++) {
      of[h] = sum > 0 ? of[h] / sum : 1.0 / of.length;
    }
    return of;
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
