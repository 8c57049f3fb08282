package io.crossmesh.transfer;

import io.crossmesh.plan.PlanRequest;
import java.util.List;
import java.util.TreeSet;

/**
 * The claims that make up one channel, every device of both sides once. All hosts that have seen
 * these claims bind them alike and know the channel by the same {@code id}.
 *
 * @param id a hash of the name and the claims
 * @param claims sorted by side, host and number
 */
record Binding(String name, long id, List<Claim> claims, PlanRequest request) {
  Binding {
    claims = List.copyOf(claims);
  }

  /** The hosts of a side, sorted. */
  List<String> hosts(Side side) {
    TreeSet<String> hosts = new TreeSet<>();
    for (Claim claim : claims) {
      if (claim.side() == side) {
        hosts.add(claim.host());
      }
    }
    return List.copyOf(hosts);
  }

  /** All hosts, sorted. */
  List<String> hosts() {
    TreeSet<String> hosts = new TreeSet<>();
    claims.forEach(claim -> hosts.add(claim.host()));
    return List.copyOf(hosts);
  }
}
