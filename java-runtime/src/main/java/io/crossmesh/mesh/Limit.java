package io.crossmesh.mesh;

import java.util.List;

/**
 * What a group of hosts shares towards all other hosts, such as the uplink of a rack, in each
 * direction.
 *
 * @param hosts the hosts of the group, sorted
 * @param bandwidth bytes per second in each direction
 */
public record Limit(List<String> hosts, double bandwidth) {
  public Limit {
    hosts = hosts.stream().sorted().toList();
    if (hosts.isEmpty() || hosts.stream().distinct().count() != hosts.size()) {
      throw Checks.layout(
          "A limit of the topology is for the hosts %s; name at least one, each once."
              .formatted(hosts));
    }
    if (!(bandwidth >= Nic.MIN_BANDWIDTH && bandwidth <= Nic.MAX_BANDWIDTH)) {
      throw Checks.layout(
          "The limit of hosts %s has a bandwidth of %s bytes/s; give a number from %s to %s."
              .formatted(Checks.brief(hosts), bandwidth, Nic.MIN_BANDWIDTH, Nic.MAX_BANDWIDTH));
    }
  }
}
