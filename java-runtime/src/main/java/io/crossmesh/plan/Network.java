package io.crossmesh.plan;

import io.crossmesh.mesh.Limit;
import io.crossmesh.mesh.Topology;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import org.jspecify.annotations.Nullable;

/**
 * The topology with hosts as numbers, restricted to the hosts of a request: numbers are positions
 * in the sorted list of hosts. NICs of a host count as one link of their summed bandwidth.
 */
final class Network {
  /** Of more hosts, hops are made each time: there are too many to keep. */
  private static final int MAX_KNOWN_HOSTS = 512;

  private final List<String> names;
  private final Map<String, Integer> ids;
  private final double[] bandwidth;
  private final double[] latency;
  private final List<boolean[]> groups = new ArrayList<>();
  private final List<Double> groupBandwidth = new ArrayList<>();

  /** The hops that were asked for, by both hosts: plans have many of few. */
  private final @Nullable List<Integer>[] hops;

  private final @Nullable List<String>[] hopNames;

  /** The same of other lists of hosts. */
  private final Map<List<Integer>, List<String>> namesOf = new HashMap<>();

  Network(Topology topology, SortedSet<String> hosts) {
    names = List.copyOf(hosts);
    ids = HashMap.newHashMap(names.size());
    bandwidth = new double[names.size()];
    latency = new double[names.size()];
    int pairs = names.size() <= MAX_KNOWN_HOSTS ? names.size() * names.size() : 0;
    hops = newLists(pairs);
    hopNames = newLists(pairs);
    for (int h = 0; h < names.size(); h++) {
      ids.put(names.get(h), h);
      bandwidth[h] = topology.bandwidth(names.get(h));
      latency[h] = topology.latency(names.get(h));
    }
    for (Limit limit : topology.limits()) {
      boolean[] group = new boolean[names.size()];
      for (String host : limit.hosts()) {
        Integer id = ids.get(host);
        if (id != null) {
          group[id] = true;
        }
      }
      groups.add(group);
      groupBandwidth.add(limit.bandwidth());
    }
  }

  int size() {
    return names.size();
  }

  String name(int host) {
    return names.get(host);
  }

  /** The names of hosts, one object for each list of them. */
  List<String> names(List<Integer> hosts) {
    if (hosts.size() != 2 || hops.length == 0) {
      return namesOf.computeIfAbsent(hosts, this::makeNames);
    }
    int pair = hosts.getFirst() * size() + hosts.getLast();
    List<String> made = hopNames[pair];
    if (made == null) {
      made = makeNames(hosts);
      hopNames[pair] = made;
    }
    return made;
  }

  private List<String> makeNames(List<Integer> hosts) {
    return List.copyOf(hosts.stream().map(names::get).toList());
  }

  int id(String host) {
    Integer id = ids.get(host);
    if (id == null) {
      throw PlanChecks.layout(
          "Host '%s' is on no mesh of the request; a route uses hosts of its meshes only."
              .formatted(PlanChecks.brief(host)));
    }
    return id;
  }

  /** Bytes per second in each direction. */
  double bandwidth(int host) {
    return bandwidth[host];
  }

  /** Seconds. */
  double latency(int host) {
    return latency[host];
  }

  /** Seconds between two hosts. */
  double latency(int from, int to) {
    return Math.max(latency[from], latency[to]);
  }

  /** Number of things that a transfer may have to wait for: NIC directions, then shared limits. */
  int resources() {
    return 2 * (size() + groups());
  }

  /** The resource through which a host sends; the next one is that through which it receives. */
  int egress(int host) {
    return 2 * host;
  }

  /** Bytes per second of a resource. */
  double rate(int resource) {
    int owner = resource / 2;
    return owner < size() ? bandwidth[owner] : groupBandwidth(owner - size());
  }

  /** The resources that a transfer between two hosts occupies. */
  int[] crossed(int from, int to) {
    int[] resources = new int[2 + groups()];
    resources[0] = egress(from);
    resources[1] = egress(to) + 1;
    int count = 2;
    for (int g = 0; g < groups(); g++) {
      if (inGroup(g, from) != inGroup(g, to)) {
        resources[count++] = 2 * (size() + g) + (inGroup(g, from) ? 0 : 1);
      }
    }
    return count == resources.length ? resources : Arrays.copyOf(resources, count);
  }

  /** How many shared limits a transfer between two hosts is subject to. */
  int limits(int from, int to) {
    int count = 0;
    for (int g = 0; g < groups(); g++) {
      count += inGroup(g, from) != inGroup(g, to) ? 1 : 0;
    }
    return count;
  }

  /** The route from one host to another: one object for each, as far as they are not too many. */
  List<Integer> hop(int from, int to) {
    if (hops.length == 0) {
      return List.of(from, to);
    }
    int pair = from * size() + to;
    List<Integer> hop = hops[pair];
    if (hop == null) {
      hop = List.of(from, to);
      hops[pair] = hop;
    }
    return hop;
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static <T> @Nullable List<T>[] newLists(int count) {
    return new List[count];
  }

  /** The same hosts from the first on, those behind a shared limit after each other. */
  List<Integer> chain(List<Integer> hosts) {
    if (groups() == 0) {
      return hosts;
    }
    List<Integer> left = new ArrayList<>(hosts);
    List<Integer> chain = new ArrayList<>();
    chain.add(left.removeFirst());
    while (!left.isEmpty()) {
      int last = chain.getLast();
      int next = 0;
      for (int i = 1; i < left.size(); i++) {
        next = limits(last, left.get(i)) < limits(last, left.get(next)) ? i : next;
      }
      int host = left.get(next);
      chain.add(host);
      left.removeIf(other -> other == host);
    }
    return chain;
  }

  /** Whether nothing that a transfer between two hosts occupies is busy. */
  boolean isFree(boolean[] busy, int from, int to) {
    if (busy[egress(from)] || busy[egress(to) + 1]) {
      return false;
    }
    if (groups() > 0) {
      for (int resource : crossed(from, to)) {
        if (busy[resource]) {
          return false;
        }
      }
    }
    return true;
  }

  /** Number of groups of hosts that share a limit. */
  int groups() {
    return groups.size();
  }

  boolean inGroup(int group, int host) {
    return groups.get(group)[host];
  }

  /** The hosts of a group that the request has. */
  List<Integer> hostsOf(int group) {
    List<Integer> hosts = new ArrayList<>();
    for (int host = 0; host < size(); host++) {
      if (inGroup(group, host)) {
        hosts.add(host);
      }
    }
    return hosts;
  }

  /** Bytes per second that a group shares in each direction. */
  double groupBandwidth(int group) {
    return groupBandwidth.get(group);
  }
}
