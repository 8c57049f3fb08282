package io.crossmesh.plan;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.ArrayList;
import java.util.List;

/**
 * What a request would take with other strategies and orders: the baselines beside a plan.
 *
 * <pre>
 * {"rows":[{"strategy","order","makespan":s,"over_bound":ratio,"bytes":n over NICs,"moves":n}
 *          | {"strategy","order","refused":why}..]}
 * </pre>
 */
public final class PlanComparison {
  /**
   * Plans of more unit tasks are compared only if that is asked for: some baselines plan slowly.
   */
  public static final int CHEAP_TASKS = 256;

  private PlanComparison() {}

  private record Way(Strategy strategy, Order order) {}

  /**
   * Plans again in other ways.
   *
   * @param all every strategy with every order; else every order with the plan's strategy, then
   *     every strategy with the plan's order
   */
  public static ObjectNode of(Plan plan, boolean all) {
    List<Way> ways = new ArrayList<>();
    PlanRequest request = plan.request();
    if (all) {
      for (Strategy strategy : Strategy.values()) {
        for (Order order : Order.values()) {
          ways.add(new Way(strategy, order));
        }
      }
    } else {
      for (Order order : Order.values()) {
        ways.add(new Way(request.strategy(), order));
      }
      for (Strategy strategy : Strategy.concrete()) {
        ways.add(new Way(strategy, request.order()));
      }
    }
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    ArrayNode rows = node.putArray("rows");
    ways.forEach(way -> rows.add(row(plan, way)));
    return node;
  }

  private static ObjectNode row(Plan plan, Way way) {
    PlanRequest request = plan.request().with(way.strategy(), way.order());
    ObjectNode row =
        JsonNodeFactory.instance
            .objectNode()
            .put("strategy", way.strategy().id())
            .put("order", way.order().id());
    try {
      Plan other = request.equals(plan.request()) ? plan : Planner.plan(request);
      return row.put("makespan", other.makespan())
          .put("over_bound", 1 + other.gap())
          .put("bytes", other.bytesSent().values().stream().mapToLong(Long::longValue).sum())
          .put("moves", other.moves().size());
    } catch (CrossmeshException e) {
      if (e.code() != Code.LAYOUT) {
        throw e;
      }
      return row.put("refused", e.getMessage());
    }
  }
}
