package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The least time in which any plan could end: bytes over bandwidth, without latency. It is the
 * largest of three.
 *
 * <ul>
 *   <li>Ingress: what a host needs and does not hold, over its bandwidth.
 *   <li>Egress: what leaves its holders must leave once, divided among them as one likes. The least
 *       possible busy time of the busiest holder is, over all sets of slices, the largest ratio of
 *       their bytes to the bandwidth of all their holders. {@link #egress} finds that set by
 *       Newton's iteration on minimum cuts: a cut that is too small for the bytes names a set with
 *       a larger ratio.
 *   <li>Limits: what must enter or leave a group of hosts, over what the group shares.
 * </ul>
 */
final class LowerBound {
  private static final double SAME = 1 + 1e-12;

  private LowerBound() {}

  /** Seconds; 0 when nothing crosses a NIC. */
  static double of(List<Cell> cells, Network network) {
    long[] needed = new long[network.size()];
    long[] entering = new long[network.groups()];
    long[] leaving = new long[network.groups()];
    Map<List<Integer>, Long> demand = new HashMap<>();
    int[] heldIn = new int[network.size()];
    int number = 0;
    for (Cell cell : cells) {
      number++;
      for (int host : cell.holders().hosts()) {
        heldIn[host] = number;
      }
      boolean leaves = false;
      for (int host : cell.receivers().hosts()) {
        if (heldIn[host] != number) {
          needed[host] += cell.bytes();
          leaves = true;
        }
      }
      if (leaves) {
        demand.merge(cell.holders().hosts(), cell.bytes(), Long::sum);
        countLimits(cell, network, entering, leaving);
      }
    }
    double bound = egress(demand, network);
    for (int host = 0; host < needed.length; host++) {
      bound = Math.max(bound, needed[host] / network.bandwidth(host));
    }
    for (int g = 0; g < entering.length; g++) {
      bound = Math.max(bound, Math.max(entering[g], leaving[g]) / network.groupBandwidth(g));
    }
    return bound;
  }

  private static void countLimits(Cell cell, Network network, long[] entering, long[] leaving) {
    for (int g = 0; g < entering.length; g++) {
      int group = g;
      boolean heldInside =
          cell.holders().hosts().stream().anyMatch(host -> network.inGroup(group, host));
      boolean heldOutside =
          !cell.holders().hosts().stream().allMatch(host -> network.inGroup(group, host));
      boolean neededInside =
          cell.receivers().hosts().stream().anyMatch(host -> network.inGroup(group, host));
      boolean neededOutside =
          !cell.receivers().hosts().stream().allMatch(host -> network.inGroup(group, host));
      if (!heldInside && neededInside) {
        entering[g] += cell.bytes();
      }
      if (!heldOutside && neededOutside) {
        leaving[g] += cell.bytes();
      }
    }
  }

  /** The least busy time of the busiest holder, given the bytes held by each set of hosts. */
  static double egress(Map<List<Integer>, Long> demand, Network network) {
    Map<List<Integer>, Long> bySet = new HashMap<>();
    demand.forEach(
        (hosts, bytes) -> bySet.merge(hosts.stream().sorted().toList(), bytes, Long::sum));
    List<List<Integer>> sets = new ArrayList<>(bySet.keySet());
    double bound = 0;
    for (List<Integer> set : sets) {
      bound = Math.max(bound, bytes(bySet, List.of(set)) / bandwidth(List.of(set), network));
    }
    while (true) {
      List<List<Integer>> tight = tooTight(bySet, sets, bound * SAME, network);
      if (tight.isEmpty()) {
        return bound;
      }
      double ratio = bytes(bySet, tight) / bandwidth(tight, network);
      if (ratio <= bound * SAME) {
        return Math.max(bound, ratio);
      }
      bound = ratio;
    }
  }

  /** The sets of hosts on the source's side of a minimum cut: they cannot send all in time. */
  private static List<List<Integer>> tooTight(
      Map<List<Integer>, Long> demand, List<List<Integer>> sets, double seconds, Network network) {
    int hosts = network.size();
    int source = hosts + sets.size();
    MaxFlow flow = new MaxFlow(source + 2, source, source + 1);
    for (int host = 0; host < hosts; host++) {
      flow.edge(host, source + 1, seconds * network.bandwidth(host));
    }
    for (int i = 0; i < sets.size(); i++) {
      flow.edge(source, hosts + i, demand.getOrDefault(sets.get(i), 0L));
      for (int host : sets.get(i)) {
        flow.edge(hosts + i, host, Double.POSITIVE_INFINITY);
      }
    }
    boolean[] reached = flow.minimumCut();
    List<List<Integer>> tight = new ArrayList<>();
    for (int i = 0; i < sets.size(); i++) {
      if (reached[hosts + i]) {
        tight.add(sets.get(i));
      }
    }
    return tight;
  }

  private static double bytes(Map<List<Integer>, Long> demand, List<List<Integer>> sets) {
    return sets.stream().mapToLong(set -> demand.getOrDefault(set, 0L)).sum();
  }

  private static double bandwidth(List<List<Integer>> sets, Network network) {
    return sets.stream()
        .flatMap(List::stream)
        .distinct()
        .sorted()
        .mapToDouble(network::bandwidth)
        .sum();
  }
}
