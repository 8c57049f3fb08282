package io.crossmesh.mesh;

import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The network: the NICs of each host and what groups of hosts share. Copies inside a host are free.
 * It is an input of the plan, never a measurement, so that every host plans alike.
 *
 * @param hosts NICs by host name
 * @param limits shared limits, may be empty
 */
public record Topology(SortedMap<String, List<Nic>> hosts, List<Limit> limits) {
  /** Default bandwidth of a NIC: 10 Gbit/s, in bytes per second. */
  public static final double DEFAULT_BANDWIDTH = 1.25e9;

  /** Default latency of a NIC in seconds. */
  public static final double DEFAULT_LATENCY = 50e-6;

  /** Most NICs of a host. */
  public static final int MAX_NICS = 64;

  /** Most hosts. */
  public static final int MAX_HOSTS = 131_072;

  /** Most shared limits. */
  public static final int MAX_LIMITS = 1024;

  public Topology {
    SortedMap<String, List<Nic>> copy = new TreeMap<>();
    for (Map.Entry<String, List<Nic>> entry : hosts.entrySet()) {
      copy.put(entry.getKey(), List.copyOf(entry.getValue()));
    }
    hosts = Collections.unmodifiableSortedMap(copy);
    limits = List.copyOf(limits);
    if (hosts.size() > MAX_HOSTS || limits.size() > MAX_LIMITS) {
      throw Checks.layout(
          "A topology has %d hosts and %d limits; give at most %d and %d."
              .formatted(hosts.size(), limits.size(), MAX_HOSTS, MAX_LIMITS));
    }
    for (Map.Entry<String, List<Nic>> entry : hosts.entrySet()) {
      if (entry.getKey().isBlank()) {
        throw Checks.layout("A host of the topology has an empty name; name the host.");
      }
      Checks.name("The host name", entry.getKey());
      if (entry.getValue().isEmpty() || entry.getValue().size() > MAX_NICS) {
        throw Checks.layout(
            "Host '%s' of the topology has %d NICs; give it 1 to %d."
                .formatted(entry.getKey(), entry.getValue().size(), MAX_NICS));
      }
    }
    for (Limit limit : limits) {
      for (String host : limit.hosts()) {
        if (!hosts.containsKey(host)) {
          throw Checks.layout(
              "A limit of the topology names host '%s', which the topology lacks; add its NICs."
                  .formatted(host));
        }
      }
    }
  }

  /** The same NICs on every host. */
  public static Topology uniform(
      Collection<String> hosts, double bandwidth, double latency, int nics) {
    if (nics < 1 || nics > MAX_NICS) {
      throw Checks.layout("A host has %d NICs; give it 1 to %d.".formatted(nics, MAX_NICS));
    }
    List<Nic> each = Collections.nCopies(nics, new Nic(bandwidth, latency));
    SortedMap<String, List<Nic>> map = new TreeMap<>();
    for (String host : hosts) {
      map.put(host, each);
    }
    return new Topology(map, List.of());
  }

  /** One NIC of the default bandwidth and latency on every host. */
  public static Topology uniform(Collection<String> hosts) {
    return uniform(hosts, DEFAULT_BANDWIDTH, DEFAULT_LATENCY, 1);
  }

  /** Summed bandwidth of the NICs of a host, bytes per second and direction. */
  public double bandwidth(String host) {
    // Added in order: a stream's sum may differ between platforms, and plans depend on this.
    double sum = 0;
    for (Nic nic : nics(host)) {
      sum += nic.bandwidth();
    }
    return sum;
  }

  /** Largest latency of the NICs of a host, in seconds. */
  public double latency(String host) {
    return nics(host).stream().mapToDouble(Nic::latency).max().orElse(0);
  }

  private List<Nic> nics(String host) {
    List<Nic> nics = hosts.get(host);
    if (nics == null) {
      throw Checks.layout(
          "Host '%s' is not in the topology, which knows %s; add its NICs to the topology."
              .formatted(host, Checks.brief(List.copyOf(hosts.keySet()))));
    }
    return nics;
  }
}
