package io.crossmesh.plan;

import static io.crossmesh.fuzz.FuzzTarget.documents;
import static io.crossmesh.fuzz.FuzzTarget.same;

import io.crossmesh.fuzz.FuzzTarget;
import io.crossmesh.fuzz.FuzzTargets;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.MeshJson;
import io.crossmesh.mesh.Topology;
import java.nio.file.Path;
import java.util.List;

/** Requests, plans and topologies: what is accepted is a value that can be used. */
public final class PlanTargets implements FuzzTargets {
  private static final int PLANNED_OF_ACCEPTED = 64;

  private static final String REQUEST =
      """
      {"v":1,
       "meshes":[{"shape":[2,1],"axis_names":["x","y"],"devices":[["a",0],["b",0]]},
                 {"shape":[2],"axis_names":[],"devices":[["c",0],["b",0]]}],
       "layouts":[{"mesh":0,"spec":[[0],[1]]},{"mesh":1,"spec":[[],[0]]}],
       "tensors":[{"key":"w","shape":[6,5],"dtype":"float32","src":0,"dst":1},
                  {"key":"v","shape":[3,4],"dtype":"int8","src":1,"dst":0,"deadline":0.25}],
       "topology":{"hosts":{"a":[{"bandwidth":1e9,"latency":1e-5}],
                            "b":[{"bandwidth":1e9,"latency":0}],
                            "c":[{"bandwidth":2000000000,"latency":0.5},{"bandwidth":1e9,"latency":0}]},
                   "limits":[{"hosts":["b","c"],"bandwidth":2e9}]},
       "strategy":"auto","order":"optimal"}
      """;

  private long accepted;

  @Override
  public List<FuzzTarget> open(Path directory) {
    PlanRequest request = PlanJson.readRequest(REQUEST);
    return List.of(
        documents("plan request", List.of(REQUEST), this::use),
        documents(
            "plan",
            List.of(PlanJson.write(Planner.plan(request))),
            text -> PlanJson.write(PlanJson.readPlan(text))),
        documents(
            "topology",
            List.of(MeshJson.write(request.topology()).toString()),
            text -> {
              Topology topology = MeshJson.readTopology(JsonValue.parse(text, "topology"));
              same(
                  topology,
                  MeshJson.readTopology(new JsonValue(MeshJson.write(topology), "topology")));
            }));
  }

  private void use(String text) {
    PlanRequest request = PlanJson.readRequest(text);
    same(request, PlanJson.readRequest(PlanJson.write(request)));
    if (accepted++ % PLANNED_OF_ACCEPTED == 0) {
      // Order size is quick however large the damage made a tensor.
      Planner.plan(request.with(request.strategy(), Order.SIZE));
    }
  }
}
