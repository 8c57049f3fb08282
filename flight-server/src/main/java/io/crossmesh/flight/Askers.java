package io.crossmesh.flight;

import io.crossmesh.mesh.JsonValue;
import java.util.Optional;

/** Takes note of the agents that ask who this one is. */
@FunctionalInterface
public interface Askers {
  /** An agent that says who it is, and at which door others reach it if it knows. */
  record Asker(String name, Optional<String> door) {
    static Asker read(JsonValue json) {
      return new Asker(json.get("name").text(), json.find("door").map(JsonValue::text));
    }
  }

  /** What keeps this agent from reaching the one that asks; empty if nothing does. */
  Optional<String> asked(Asker asker);
}
