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
 * @param hosts all hosts, sorted
 */
record Binding(String name, long id, List<Claim> claims, PlanRequest request, List<String> hosts) {
  Binding(String name, long id, List<Claim> claims, PlanRequest request) {
    this(
        name,
        id,
        List.copyOf(claims),
        request,
        claims.stream().map(Claim::host).distinct().sorted().toList());
  }

  /** Whether tiles are compared with what was sent. */
  boolean verified() {
    return claims.stream().anyMatch(Claim::verify);
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
}
