package io.crossmesh.gateway;

import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.MeshJson;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.plan.Order;
import io.crossmesh.plan.PlanJson;
import io.crossmesh.plan.PlanRequest;
import io.crossmesh.plan.Strategy;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.Side;
import io.crossmesh.transfer.TensorSide;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * Reads the document by which a client opens a channel. As in a plan's document, meshes and layouts
 * are written once and referred to by number.
 */
final class ChannelRequests {
  private static final double TIMEOUT_SECONDS_MAX = TimeUnit.DAYS.toSeconds(30);

  private static final Set<String> FIELDS =
      Set.of(
          "name",
          "side",
          "meshes",
          "layouts",
          "tensors",
          "devices",
          "depth",
          "timeout",
          "step_timeout",
          "strategy",
          "order",
          "topology",
          "verify");

  private ChannelRequests() {}

  static ChannelOpen read(JsonValue json, String owner) {
    json.allow(FIELDS);
    List<Mesh> meshes =
        json.get("meshes").items(PlanJson.MAX_MESHES).stream().map(MeshJson::readMesh).toList();
    List<Sharding> layouts = new ArrayList<>();
    for (JsonValue layout : json.get("layouts").items(PlanJson.MAX_LAYOUTS)) {
      layouts.add(MeshJson.readSpec(layout.get("spec"), pick(layout.get("mesh"), meshes)));
    }
    List<TensorSide> tensors = new ArrayList<>();
    for (JsonValue tensor : json.get("tensors").items(PlanRequest.MAX_TENSORS)) {
      tensors.add(new TensorSide(MeshJson.readTensor(tensor), pick(tensor.get("layout"), layouts)));
    }
    return new ChannelOpen(
        json.get("name").text(),
        side(json.get("side")),
        tensors,
        json.get("devices").indices(Mesh.MAX_DEVICES, Mesh.MAX_DEVICES - 1),
        (int) json.get("depth").integer(1, ChannelOpen.DEPTH_MAX),
        nanos(json.get("timeout")),
        json.find("step_timeout")
            .map(limit -> OptionalLong.of(nanos(limit)))
            .orElse(OptionalLong.empty()),
        json.find("strategy").map(name -> Strategy.parse(name.text())),
        json.find("order").map(name -> Order.parse(name.text())),
        json.find("topology").map(MeshJson::readTopology),
        json.find("verify").map(JsonValue::truth).orElse(false),
        owner);
  }

  private static Side side(JsonValue side) {
    return switch (side.text()) {
      case "src" -> Side.SRC;
      case "dst" -> Side.DST;
      default -> throw side.refuse("\"src\" or \"dst\"");
    };
  }

  private static long nanos(JsonValue seconds) {
    return (long) (seconds.number(0, TIMEOUT_SECONDS_MAX) * TimeUnit.SECONDS.toNanos(1));
  }

  private static <T> T pick(JsonValue index, List<T> from) {
    if (from.isEmpty()) {
      throw index.refuse("absent, as there is nothing to refer to");
    }
    return from.get((int) index.integer(0, from.size() - 1L));
  }
}
