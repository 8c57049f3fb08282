package io.crossmesh.plan;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** How a slice travels to its receivers. */
public enum Strategy {
  /** The cost model chooses for each tensor. */
  AUTO("auto"),
  /** One message to each receiving device. */
  SEND_RECV("send_recv"),
  /** Each receiving host gets a slice once, in one piece for each of its receiving devices. */
  LOCAL_ALL_GATHER("local_all_gather"),
  /** Each receiving host gets another piece of a slice; then they send the pieces round a ring. */
  GLOBAL_ALL_GATHER("global_all_gather"),
  /** One pipelined chain through the receiving hosts. */
  BROADCAST("broadcast"),
  /** Each slice in as many parts as hosts hold it, each part a chain of its own. */
  SPLIT_BROADCAST("split_broadcast");

  private final String id;

  Strategy(String id) {
    this.id = id;
  }

  /** The name in JSON and in the Python client. */
  public String id() {
    return id;
  }

  /** All that a plan can be made of: each but {@link #AUTO}, which chooses from them. */
  public static List<Strategy> concrete() {
    return Arrays.stream(values()).filter(strategy -> strategy != AUTO).toList();
  }

  /**
   * The strategy of this name.
   *
   * @throws CrossmeshException LAYOUT naming what is available
   */
  public static Strategy parse(String id) {
    for (Strategy strategy : values()) {
      if (strategy.id.equals(id)) {
        return strategy;
      }
    }
    throw new CrossmeshException(
        Code.LAYOUT,
        "The strategy '%s' is not available; use one of %s."
            .formatted(
                PlanChecks.brief(id),
                Arrays.stream(values()).map(Strategy::id).collect(Collectors.joining(", "))));
  }

  @Override
  public String toString() {
    return id;
  }
}
