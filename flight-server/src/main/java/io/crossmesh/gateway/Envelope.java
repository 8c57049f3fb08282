package io.crossmesh.gateway;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How every answer leaves the gateway: {@code {"ok": ...}} or {@code {"error": {"code",
 * "message"}}}. An exception never crosses: Py4J would turn it into a Java stack trace in a Python
 * program.
 */
final class Envelope {
  private static final Logger LOG = LoggerFactory.getLogger(Envelope.class);
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private Envelope() {}

  static String of(Supplier<? extends JsonNode> answer) {
    ObjectNode envelope = JsonNodeFactory.instance.objectNode();
    try {
      envelope.set("ok", answer.get());
    } catch (CrossmeshException e) {
      LOG.debug("refused", e);
      envelope.set("error", error(e.code(), e.getMessage()));
    } catch (OutOfMemoryError e) {
      envelope.set(
          "error",
          error(
              Code.INTERNAL,
              "the request needs more Java heap than there is; start the JVM with a larger -Xmx."));
    } catch (RuntimeException | StackOverflowError e) {
      LOG.error("a request failed in an unforeseen way", e);
      envelope.set(
          "error",
          error(
              Code.INTERNAL,
              "unforeseen failure in the agent: %s; please report it with the agent's log."
                  .formatted(e)));
    }
    return write(envelope);
  }

  static ObjectNode error(Code code, String message) {
    return JsonNodeFactory.instance
        .objectNode()
        .put("code", code.pythonName())
        .put("message", message);
  }

  private static String write(ObjectNode envelope) {
    try {
      return MAPPER.writeValueAsString(envelope);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a tree can always be written", e);
    }
  }
}
