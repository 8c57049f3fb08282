package io.crossmesh.plan;

import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.MeshJson;
import io.crossmesh.mesh.Topology;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;

/** Compares what the document of a plan claims with what follows from its request and moves. */
final class PlanClaims {
  private PlanClaims() {}

  /** Refuses a document that says other things than its request and moves. */
  static void check(JsonValue root, Plan plan) {
    if (!root.get("digest").text().equals(plan.digest())) {
      throw root.get("digest").refuse(plan.digest() + ", the digest of this request and moves");
    }
    same(root.get("makespan"), plan.makespan());
    same(root.get("lower_bound"), plan.lowerBound());
    same(root.get("gap"), plan.gap());
    root.find("finish").ifPresent(value -> same(value, plan.finish()));
    List<JsonValue> tasks = root.get("tasks").items(Plan.MAX_TASKS);
    if (tasks.size() != plan.tasks().size()) {
      throw root.get("tasks")
          .refuse("an array of the %d unit tasks".formatted(plan.tasks().size()));
    }
    for (int i = 0; i < tasks.size(); i++) {
      compare(tasks.get(i), plan.tasks().get(i));
    }
    same(root.get("bytes_sent"), plan.bytesSent());
    same(root.get("bytes_received"), plan.bytesReceived());
  }

  private static void compare(JsonValue value, UnitTask task) {
    value.allow(Set.of("tensor", "box", "senders", "receivers"));
    boolean same =
        value.get("tensor").integer(0, Integer.MAX_VALUE) == task.tensor()
            && MeshJson.readBox(value.get("box")).equals(task.box())
            && value
                .get("senders")
                .indices(Mesh.MAX_DEVICES, Mesh.MAX_DEVICES)
                .equals(task.senders())
            && value
                .get("receivers")
                .indices(Mesh.MAX_DEVICES, Mesh.MAX_DEVICES)
                .equals(task.receivers());
    if (!same) {
      throw value.refuse("the unit task of " + task.box());
    }
  }

  private static void same(JsonValue value, double expected) {
    // Sums may be ordered otherwise in another version of the planner.
    double slack = 1e-9 * Math.abs(expected) + 1e-12;
    if (Math.abs(value.number(-1, Double.MAX_VALUE) - expected) > slack) {
      throw value.refuse(expected + ", as request and moves give it");
    }
  }

  private static void same(JsonValue value, List<Double> expected) {
    List<JsonValue> items = value.items(PlanRequest.MAX_TENSORS);
    if (items.size() != expected.size()) {
      throw value.refuse("an array of one time for each tensor");
    }
    for (int i = 0; i < items.size(); i++) {
      same(items.get(i), expected.get(i));
    }
  }

  private static void same(JsonValue value, SortedMap<String, Long> expected) {
    if (value.names(Topology.MAX_HOSTS).size() != expected.size()) {
      throw value.refuse("an object of the hosts " + expected.keySet());
    }
    for (Map.Entry<String, Long> host : expected.entrySet()) {
      JsonValue bytes = value.get(host.getKey());
      if (bytes.integer(0, Long.MAX_VALUE) != host.getValue()) {
        throw bytes.refuse(host.getValue() + ", as the moves give it");
      }
    }
  }
}
