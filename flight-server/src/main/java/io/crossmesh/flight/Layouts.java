package io.crossmesh.flight;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.json.Json;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.MeshJson;
import io.crossmesh.mesh.Sharding;
import java.util.Set;

/**
 * A layout with its mesh in it: {@code {"mesh": mesh, "spec": [[0], []]}}, or a notation as spec.
 */
final class Layouts {
  private Layouts() {}

  static Sharding read(JsonValue json) {
    json.allow(Set.of("mesh", "spec"));
    var mesh = MeshJson.readMesh(json.get("mesh"));
    JsonValue spec = json.get("spec");
    return spec.node().isTextual()
        ? Sharding.parse(mesh, spec.text())
        : MeshJson.readSpec(spec, mesh);
  }

  static ObjectNode write(Sharding layout) {
    ObjectNode json = Json.object();
    json.set("mesh", MeshJson.write(layout.mesh()));
    json.set("spec", MeshJson.writeSpec(layout));
    return json;
  }
}
