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

  /** What a bound is about. */
  enum Kind {
    /** Nothing crosses a NIC. */
    NONE,
    /** A host must receive so much. */
    INGRESS,
    /** So much must leave hosts, the only ones that hold it. */
    EGRESS,
    /** So much must enter a group of hosts. */
    ENTERING,
    /** So much must leave a group of hosts. */
    LEAVING
  }

  /**
   * A bound and its reason.
   *
   * @param seconds {@code bytes / bandwidth}
   * @param hosts those that have to do it, as numbers of the network
   * @param bytes what they have to do
   */
  record Bound(double seconds, Kind kind, List<Integer> hosts, long bytes) {
    static final Bound NONE = new Bound(0, Kind.NONE, List.of(), 0);

    Bound max(Bound other) {
      return other.seconds > seconds ? other : this;
    }
  }

  /** Seconds; 0 when nothing crosses a NIC. */
  static double of(List<Cell> cells, Network network) {
    return find(cells, network).seconds();
  }

  /** The bound with what makes it so large. */
  static Bound find(List<Cell> cells, Network network) {
    long[] needed = new long[network.size()];
    long[] entering = new long[network.groups()];
    long[] leaving = new long[network.groups()];
    HostBytes demand = new HostBytes();
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
        demand.add(cell.holders().hosts(), cell.bytes());
        countLimits(cell, network, entering, leaving);
      }
    }
    Bound bound = Bound.NONE;
    for (int host = 0; host < needed.length; host++) {
      double seconds = needed[host] / network.bandwidth(host);
      bound = bound.max(new Bound(seconds, Kind.INGRESS, List.of(host), needed[host]));
    }
    bound = bound.max(busiestHolders(demand.total(), network));
    for (int g = 0; g < entering.length; g++) {
      double rate = network.groupBandwidth(g);
      List<Integer> hosts = network.hostsOf(g);
      bound = bound.max(new Bound(entering[g] / rate, Kind.ENTERING, hosts, entering[g]));
      bound = bound.max(new Bound(leaving[g] / rate, Kind.LEAVING, hosts, leaving[g]));
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
    return busiestHolders(demand, network).seconds();
  }

  private static Bound busiestHolders(Map<List<Integer>, Long> demand, Network network) {
    Map<List<Integer>, Long> bySet = new HashMap<>();
    demand.forEach(
        (hosts, bytes) -> bySet.merge(hosts.stream().sorted().toList(), bytes, Long::sum));
    List<List<Integer>> sets = new ArrayList<>(bySet.keySet());
    Bound bound = Bound.NONE;
    for (List<Integer> set : sets) {
      bound = bound.max(ratio(bySet, List.of(set), network));
    }
    while (true) {
      double seconds = bound.seconds() * SAME;
      List<List<Integer>> tight = tooTight(bySet, sets, seconds, network);
      if (tight.isEmpty()) {
        return bound;
      }
      Bound larger = ratio(bySet, tight, network);
      if (larger.seconds() <= seconds) {
        return bound.max(larger);
      }
      bound = larger;
    }
  }

  /** What sets of slices ask of all their holders together. */
  private static Bound ratio(
      Map<List<Integer>, Long> demand, List<List<Integer>> sets, Network network) {
    List<Integer> hosts = sets.stream().flatMap(List::stream).distinct().sorted().toList();
    long bytes = sets.stream().mapToLong(set -> demand.getOrDefault(set, 0L)).sum();
    double bandwidth = hosts.stream().mapToDouble(network::bandwidth).sum();
    return new Bound(bytes / bandwidth, Kind.EGRESS, hosts, bytes);
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
}
