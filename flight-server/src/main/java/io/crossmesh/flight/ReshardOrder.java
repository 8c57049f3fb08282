package io.crossmesh.flight;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.plan.Order;
import io.crossmesh.plan.Strategy;
import java.util.Optional;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;

/**
 * One reshard, as the agent that leads it tells the others.
 *
 * @param id names it in the whole cluster
 * @param source the tensor as it lies
 * @param target the tensor as it shall lie, under its new name
 */
record ReshardOrder(
    String id,
    TensorMeta source,
    TensorMeta target,
    Optional<Strategy> strategy,
    Optional<Order> order,
    double timeoutSeconds) {
  static final double TIMEOUT_SECONDS_DEFAULT = 60;
  static final double TIMEOUT_SECONDS_MAX = TimeUnit.DAYS.toSeconds(1);
  static final int ID_CHARACTERS_MAX = 128;

  private static final Set<String> CLIENT_FIELDS =
      Set.of("v", "id", "tensor", "to", "layout", "strategy", "order", "timeout");
  private static final Set<String> AGENT_FIELDS =
      Set.of("v", "id", "source", "to", "layout", "strategy", "order", "timeout");

  ReshardOrder {
    if (id.isEmpty() || id.length() > ID_CHARACTERS_MAX) {
      throw io.crossmesh.json.Json.bad(
          "the id of a reshard has 1 to %d characters".formatted(ID_CHARACTERS_MAX));
    }
  }

  /** Reads a client's request, for a tensor that is known by now. */
  static ReshardOrder fromClient(JsonValue json, String id, TensorMeta source) {
    json.allow(CLIENT_FIELDS);
    return read(json, id, source);
  }

  /** Reads what the leading agent sent. */
  static ReshardOrder fromAgent(JsonValue json) {
    json.allow(AGENT_FIELDS);
    return read(json, json.get("id").text(), TensorMeta.read(json.get("source")));
  }

  private static ReshardOrder read(JsonValue json, String id, TensorMeta source) {
    TensorSpec spec =
        new TensorSpec(json.get("to").text(), source.spec().shape(), source.spec().dtype());
    return new ReshardOrder(
        id,
        source,
        new TensorMeta(spec, Layouts.read(json.get("layout"))),
        json.find("strategy").map(name -> Strategy.parse(name.text())),
        json.find("order").map(name -> Order.parse(name.text())),
        json.find("timeout")
            .map(seconds -> seconds.number(1e-3, TIMEOUT_SECONDS_MAX))
            .orElse(TIMEOUT_SECONDS_DEFAULT));
  }

  ObjectNode forAgents() {
    ObjectNode json = Requests.versioned().put("id", id);
    json.set("source", source.write());
    json.put("to", target.name());
    json.set("layout", Layouts.write(target.layout()));
    json.put("strategy", strategy.map(Strategy::id).orElse(null));
    json.put("order", order.map(Order::id).orElse(null));
    return json.put("timeout", timeoutSeconds);
  }

  /** Every host that takes part. */
  SortedSet<String> hosts() {
    SortedSet<String> hosts = new TreeSet<>(source.layout().mesh().hosts());
    hosts.addAll(target.layout().mesh().hosts());
    return hosts;
  }
}
