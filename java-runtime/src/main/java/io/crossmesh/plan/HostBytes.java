package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Sums bytes by list of hosts. Slices by the hundred thousand share a few lists, so that each list
 * object is looked up by itself and equal ones are only added up at the end.
 */
final class HostBytes {
  private final IdentityHashMap<List<Integer>, long[]> bytes = new IdentityHashMap<>();

  /** The list objects as they came: the order of the result must not depend on where they lie. */
  private final List<List<Integer>> lists = new ArrayList<>();

  void add(List<Integer> hosts, long more) {
    long[] sum = bytes.get(hosts);
    if (sum == null) {
      sum = new long[1];
      bytes.put(hosts, sum);
      lists.add(hosts);
    }
    sum[0] += more;
  }

  /** The bytes of equal lists together. */
  Map<List<Integer>, Long> total() {
    Map<List<Integer>, Long> total = new HashMap<>();
    for (List<Integer> hosts : lists) {
      long[] sum = bytes.getOrDefault(hosts, new long[1]);
      total.merge(hosts, sum[0], Long::sum);
    }
    return total;
  }
}
