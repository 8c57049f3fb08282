package io.crossmesh.agent;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * How a process is reached.
 *
 * @param name the host's name in meshes
 * @param epoch 63 random bits, new at each start: two lives of one agent are never confused
 * @param gateway the Py4J door on loopback
 * @param flight the Flight door; absent in a planner
 * @param arena the shared memory; absent in a planner
 * @param metricsPort the loopback port of {@code /metrics}, if it is open
 * @param transport how it moves bytes to other agents
 */
record AgentInfo(
    String name,
    long epoch,
    Gateway gateway,
    Optional<Flight> flight,
    Optional<SharedMemory> arena,
    OptionalInt metricsPort,
    TransportInfo transport) {

  /** The version of the info file and of {@code hello}. */
  static final int VERSION = 1;

  record Gateway(int port, Token token, Optional<Path> trainers) {}

  record Flight(String host, int port, boolean tls, Token token) {}

  record SharedMemory(Path path, long bytes) {}

  /** The transport that is there, or why none is. */
  sealed interface TransportInfo {
    /** Of its kind, or "none". */
    String name();

    ObjectNode json();

    /** A transport at work; {@code address} is what peers connect to. */
    record Available(String name, String address, String version) implements TransportInfo {
      @Override
      public ObjectNode json() {
        return object()
            .put("name", name)
            .put("address", address)
            .put("available", true)
            .put("version", version);
      }
    }

    /** No transport; {@code reason} says what would mend it. */
    record Missing(String reason) implements TransportInfo {
      @Override
      public String name() {
        return "none";
      }

      @Override
      public ObjectNode json() {
        return object().put("name", "none").put("available", false).put("reason", reason);
      }
    }
  }

  /** For the private file: with the tokens. */
  ObjectNode withSecrets() {
    ObjectNode json = publicly();
    json.put("pid", ProcessHandle.current().pid());
    ObjectNode door =
        json.putObject("gateway")
            .put("port", gateway.port())
            .put("token", gateway.token().reveal());
    gateway.trainers().ifPresent(path -> door.put("trainers", path.toString()));
    flight.ifPresent(
        there -> json.withObjectProperty("flight").put("token", there.token().reveal()));
    return json;
  }

  /** For {@code hello}: no secrets. */
  ObjectNode publicly() {
    ObjectNode json = object().put("v", VERSION).put("name", name).put("epoch", epoch);
    json.set(
        "flight",
        flight
            .map(
                door ->
                    object()
                        .put("host", door.host())
                        .put("port", door.port())
                        .put("tls", door.tls()))
            .orElse(null));
    json.set(
        "arena",
        arena
            .map(
                memory ->
                    object().put("path", memory.path().toString()).put("bytes", memory.bytes()))
            .orElse(null));
    metricsPort.ifPresent(port -> json.putObject("metrics").put("port", port));
    json.set("transport", transport.json());
    return json;
  }

  private static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }
}
