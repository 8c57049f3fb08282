package io.crossmesh.json;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;

/**
 * New documents, and complaints about those that came. Reading is {@link
 * io.crossmesh.mesh.JsonValue}'s affair.
 */
public final class Json {
  private Json() {}

  /** A new object. */
  public static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }

  /** A new array. */
  public static ArrayNode array() {
    return JsonNodeFactory.instance.arrayNode();
  }

  /** A complaint about a request; the message says what would be right. */
  public static CrossmeshException bad(String message) {
    return new CrossmeshException(Code.LAYOUT, message + ".");
  }
}
