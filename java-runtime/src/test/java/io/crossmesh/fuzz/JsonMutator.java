package io.crossmesh.fuzz;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * Damages valid JSON documents, by a seed: mostly in their structure, so that the damage gets past
 * the parser, and else in their text.
 */
final class JsonMutator {
  private static final ObjectMapper MAPPER = new ObjectMapper();
  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;
  private static final int DEEP = 20_000;

  /** What a number is replaced by; NaN and its like are no JSON and must be refused as such. */
  private static final String[] TEXTS = {
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999999999",
    "-0.0",
    "0x10",
    "01",
    "1.",
    ".5",
    "\u0000",
    "\ud800",
    "\\ud800",
    "\\u0000",
    "\ufeff",
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "/*",
    "\\"
  };

  private static final String[] STRINGS = {
    "",
    " ",
    "\u0000",
    "\n",
    "\ud83d",
    "\u202eabc",
    "R",
    "S0",
    "auto",
    "optimal",
    "a",
    "int8",
    "datetime64[99999999999999999999ns]",
    "__proto__",
    "../..",
    "0".repeat(300)
  };

  private static final long[] LONGS = {
    0,
    1,
    2,
    3,
    63,
    64,
    255,
    65_536,
    65_537,
    131_073,
    Integer.MAX_VALUE,
    1L << 31,
    1L << 40,
    1L << 62,
    Long.MAX_VALUE,
    -1,
    -2,
    Long.MIN_VALUE
  };

  private static final double[] DOUBLES = {
    0.5, -0.0, 1e-320, Double.MIN_VALUE, 1e15, 1e16, Double.MAX_VALUE, -1.5, 1e308
  };

  private final Random random;

  JsonMutator(long seed) {
    random = new Random(seed);
  }

  /** The document with one to four things wrong with it, or by chance with none. */
  String mutate(JsonNode document) {
    JsonNode root = document.deepCopy();
    boolean structural = random.nextInt(10) < 8;
    for (int n = 1 + random.nextInt(structural ? 4 : 1); n > 0 && structural; n--) {
      List<JsonNode> containers = new ArrayList<>();
      collect(root, containers);
      change(containers.get(random.nextInt(containers.size())), containers);
    }
    String text = root.toString();
    return random.nextInt(10) < (structural ? 1 : 9) ? damage(text) : text;
  }

  private static void collect(JsonNode node, List<JsonNode> containers) {
    if (node.isContainerNode()) {
      containers.add(node);
      node.forEach(child -> collect(child, containers));
    }
  }

  private void change(JsonNode container, List<JsonNode> containers) {
    if (container instanceof ObjectNode object && !object.isEmpty()) {
      List<String> names = new ArrayList<>();
      object.fieldNames().forEachRemaining(names::add);
      String name = names.get(random.nextInt(names.size()));
      switch (random.nextInt(5)) {
        case 0 -> object.remove(name);
        case 1 -> object.set(string(), value(containers));
        case 2 -> object.set(names.get(random.nextInt(names.size())), object.get(name).deepCopy());
        default -> object.set(name, other(object.get(name), containers));
      }
    } else if (container instanceof ArrayNode array && !array.isEmpty()) {
      int at = random.nextInt(array.size());
      switch (random.nextInt(6)) {
        case 0 -> array.remove(at);
        case 1 -> array.insert(at, value(containers));
        case 2 -> array.add(array.get(at).deepCopy());
        case 3 -> array.set(random.nextInt(array.size()), array.get(at).deepCopy());
        default -> array.set(at, other(array.get(at), containers));
      }
    }
  }

  /** Mostly a value of the same type. */
  private JsonNode other(JsonNode node, List<JsonNode> containers) {
    if (random.nextInt(3) == 0) {
      return value(containers);
    }
    if (node.isIntegralNumber()) {
      return random.nextBoolean()
          ? JSON.numberNode(node.longValue() + random.nextInt(-2, 3))
          : JSON.numberNode(LONGS[random.nextInt(LONGS.length)]);
    }
    if (node.isNumber()) {
      return JSON.numberNode(DOUBLES[random.nextInt(DOUBLES.length)]);
    }
    return node.isTextual() ? JSON.textNode(string()) : value(containers);
  }

  private String string() {
    return STRINGS[random.nextInt(STRINGS.length)];
  }

  private JsonNode value(List<JsonNode> containers) {
    return switch (random.nextInt(9)) {
      case 0 -> JSON.nullNode();
      case 1 -> JSON.booleanNode(random.nextBoolean());
      case 2 -> JSON.textNode(string());
      case 3 -> JSON.numberNode(LONGS[random.nextInt(LONGS.length)]);
      case 4 -> JSON.numberNode(DOUBLES[random.nextInt(DOUBLES.length)]);
      case 5 -> JSON.numberNode(BigInteger.TEN.pow(20 + random.nextInt(60)));
      case 6 -> JSON.arrayNode();
      case 7 -> JSON.objectNode();
      default -> containers.get(random.nextInt(containers.size())).deepCopy();
    };
  }

  private String damage(String text) {
    StringBuilder out = new StringBuilder(text);
    int at = random.nextInt(out.length());
    int until = Math.min(out.length(), at + 1 + random.nextInt(40));
    switch (random.nextInt(8)) {
      case 0 -> out.setCharAt(at, (char) (out.charAt(at) ^ (1 << random.nextInt(16))));
      case 1 -> out.setLength(at);
      case 2 -> out.delete(at, until);
      case 3 -> out.insert(at, out.substring(at, until));
      case 4 -> out.insert(at, TEXTS[random.nextInt(TEXTS.length)]);
      case 5 -> number(out, at, TEXTS[random.nextInt(TEXTS.length)]);
      case 6 -> number(out, at, "9".repeat(1 + random.nextInt(400)));
      default -> {
        String open = random.nextBoolean() ? "[" : "{\"a\":";
        // Seldom: such a text is a thousand times as long as the others.
        number(out, at, open.repeat(random.nextInt(100) == 0 ? DEEP : random.nextInt(40)));
      }
    }
    return out.toString();
  }

  /** Puts a text in the place of the next number. */
  private static void number(StringBuilder out, int from, String text) {
    int at = from;
    while (at < out.length() && !Character.isDigit(out.charAt(at))) {
      at++;
    }
    int end = at;
    while (end < out.length() && Character.isDigit(out.charAt(end))) {
      end++;
    }
    out.replace(at, end, text);
  }

  static JsonNode tree(String json) {
    try {
      return MAPPER.readTree(json);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(e);
    }
  }
}
