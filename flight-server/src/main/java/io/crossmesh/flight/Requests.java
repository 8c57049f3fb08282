package io.crossmesh.flight;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.json.Json;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.MeshJson;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** Tickets, descriptors and bodies of actions: JSON of one version, limited in size. */
final class Requests {
  /** The version of all documents; another one is refused. */
  static final int VERSION = 1;

  static final int BYTES_MAX = 16 << 20;

  private Requests() {}

  /** Reads a document and checks its version. */
  static JsonValue read(String what, byte[] bytes) {
    if (bytes.length > BYTES_MAX) {
      throw Json.bad(
          "the %s has %d bytes; at most %d are allowed".formatted(what, bytes.length, BYTES_MAX));
    }
    JsonValue json = JsonValue.parse(decode(what, bytes), what);
    long version = json.get("v").integer(0, Long.MAX_VALUE);
    if (version != VERSION) {
      throw Json.bad(
          "the %s is of version %d; this agent understands version %d"
              .formatted(what, version, VERSION));
    }
    return json;
  }

  static byte[] write(JsonNode json) {
    return json.toString().getBytes(StandardCharsets.UTF_8);
  }

  /** A new document of this version. */
  static ObjectNode versioned() {
    return Json.object().put("v", VERSION);
  }

  /** The ticket of a slice; {@code local}: of tiles on the asked host alone. */
  static byte[] ticket(String tensor, Box box, boolean local) {
    ObjectNode json = versioned().put("tensor", tensor);
    json.set("box", MeshJson.write(box));
    if (local) {
      json.put("local", true);
    }
    return write(json);
  }

  private static String decode(String what, byte[] bytes) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw Json.bad("the " + what + " is not UTF-8");
    }
  }
}
