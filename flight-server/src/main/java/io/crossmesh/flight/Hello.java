package io.crossmesh.flight;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.JsonValue;
import java.util.Optional;

/**
 * How agents, and clients on an agent's host, get to know an agent.
 *
 * @param name the host's name in meshes
 * @param epoch this life of it
 * @param transport by what it moves bytes, if by anything
 * @param infoFile its private file, for clients that find it on their own host
 */
public record Hello(String name, long epoch, Optional<Transport> transport, String infoFile) {
  /**
   * A transport of an agent.
   *
   * @param name of its kind; all agents of a cluster have the same
   * @param address where peers reach it
   */
  public record Transport(String name, String address) {}

  /** The version of what agents say to each other; another one is refused. */
  public static final int PROTOCOL = 1;

  static ObjectNode request() {
    return Requests.versioned().put("protocol", PROTOCOL);
  }

  /** The question of an agent that says who it is. */
  static ObjectNode request(String from, Optional<HostPort> door) {
    ObjectNode json = request();
    ObjectNode asker = json.putObject("from").put("name", from);
    door.ifPresent(there -> asker.put("door", there.toString()));
    return json;
  }

  ObjectNode answer() {
    ObjectNode json = request().put("name", name).put("epoch", epoch).put("info_file", infoFile);
    return json.put("transport", transport.map(Transport::name).orElse(null))
        .put("transport_address", transport.map(Transport::address).orElse(null));
  }

  /** Reads the answer of the agent at an address. */
  static Hello read(JsonValue json, HostPort from) {
    checkProtocol(json, "the agent at " + from);
    return new Hello(
        json.get("name").text(),
        json.get("epoch").integer(1, Long.MAX_VALUE),
        json.find("transport_address")
            .map(address -> new Transport(json.get("transport").text(), address.text())),
        json.get("info_file").text());
  }

  /** Refuses another version of the protocol, naming both. */
  static void checkProtocol(JsonValue json, String who) {
    long theirs = json.get("protocol").integer(0, Long.MAX_VALUE);
    if (theirs != PROTOCOL) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "%s speaks version %d of the protocol, this agent version %d; run one version of crossmesh on all hosts."
              .formatted(who, theirs, PROTOCOL));
    }
  }
}
