package io.crossmesh.plan;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.Arrays;
import java.util.stream.Collectors;

/** Which holder sends a slice, and which slices go first. */
public enum Order {
  /** First replica, natural order: the baseline. */
  NAIVE("naive"),
  /** Largest slice first, each to the sender host with the least to send so far. */
  SIZE("size"),
  /** Depth-first search over whole slices and their senders, with a limit of nodes: a baseline. */
  SEARCH("search"),
  /** Random maximal sets of whole slices without a NIC in common, by constant seeds: a baseline. */
  GREEDY("greedy"),
  /** Slices divided among their holders and interleaved so that the bound is reached. */
  OPTIMAL("optimal");

  private final String id;

  Order(String id) {
    this.id = id;
  }

  /** The name in JSON and in the Python client. */
  public String id() {
    return id;
  }

  /**
   * The order of this name.
   *
   * @throws CrossmeshException LAYOUT naming what is available
   */
  public static Order parse(String id) {
    for (Order order : values()) {
      if (order.id.equals(id)) {
        return order;
      }
    }
    throw new CrossmeshException(
        Code.LAYOUT,
        "The order '%s' is not available; use one of %s."
            .formatted(
                PlanChecks.brief(id),
                Arrays.stream(values()).map(Order::id).collect(Collectors.joining(", "))));
  }

  @Override
  public String toString() {
    return id;
  }
}
