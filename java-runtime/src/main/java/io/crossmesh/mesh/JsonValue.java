package io.crossmesh.mesh;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A value of a JSON document that is not trusted, with the path that leads to it. Every accessor
 * checks type and range and refuses with LAYOUT, naming the path and what was expected.
 *
 * @param node the value
 * @param path where it is, as in "plan.moves[3].box"
 */
public record JsonValue(JsonNode node, String path) {
  /** Most characters of a document. */
  public static final int MAX_DOCUMENT = 512 << 20;

  /** Most characters of one string; names are held to less where they are used. */
  public static final int MAX_TEXT = 64 << 10;

  private static final int MAX_DEPTH = 16;
  private static final int MAX_NUMBER = 64;
  private static final int SHOWN = 40;

  private static final ObjectMapper MAPPER =
      new ObjectMapper(
              JsonFactory.builder()
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxDocumentLength(MAX_DOCUMENT)
                          .maxNestingDepth(MAX_DEPTH)
                          .maxNumberLength(MAX_NUMBER)
                          .maxNameLength(Checks.MAX_NAME)
                          .maxStringLength(MAX_TEXT)
                          .build())
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

  /**
   * Parses a document.
   *
   * @param text the document
   * @param what its name in messages, the root of all paths
   */
  public static JsonValue parse(String text, String what) {
    if (text.length() > MAX_DOCUMENT) {
      throw Checks.layout(
          "The JSON of the %s has %d characters; send at most %d."
              .formatted(what, text.length(), MAX_DOCUMENT));
    }
    try {
      JsonNode node = MAPPER.readTree(text);
      if (node == null || node.isMissingNode()) {
        throw Checks.layout("The JSON of the %s is empty; send an object.".formatted(what));
      }
      return new JsonValue(node, what);
    } catch (JsonProcessingException e) {
      throw new CrossmeshException(
          Code.LAYOUT,
          "The JSON of the %s cannot be read: %s. Send one well-formed object."
              .formatted(what, e.getOriginalMessage()),
          e);
    }
  }

  /** The refusal of this value. */
  public CrossmeshException refuse(String expected) {
    String shown = node.isContainerNode() ? kind() : node.toString();
    return Checks.layout(
        "%s must be %s, not %s."
            .formatted(
                path,
                expected,
                shown.length() <= SHOWN ? shown : shown.substring(0, SHOWN) + "..."));
  }

  private String kind() {
    return (node.isArray() ? "an array of " : "an object of ") + node.size();
  }

  /** Whether the value is JSON's null. */
  public boolean isNull() {
    return node.isNull();
  }

  /** A field that must be there. */
  public JsonValue get(String field) {
    if (!node.isObject()) {
      throw refuse("an object");
    }
    JsonNode child = node.get(field);
    if (child == null) {
      throw Checks.layout("%s lacks the field \"%s\"; add it.".formatted(path, field));
    }
    return new JsonValue(child, path + "." + field);
  }

  /** A field that may be absent or null. */
  public Optional<JsonValue> find(String field) {
    if (!node.isObject()) {
      throw refuse("an object");
    }
    JsonNode child = node.get(field);
    return child == null || child.isNull()
        ? Optional.empty()
        : Optional.of(new JsonValue(child, path + "." + field));
  }

  /** Refuses fields other than these: a misspelt option must not be ignored. */
  public void allow(Set<String> fields) {
    if (!node.isObject()) {
      throw refuse("an object");
    }
    for (Iterator<String> names = node.fieldNames(); names.hasNext(); ) {
      String name = names.next();
      if (!fields.contains(name)) {
        throw Checks.layout(
            "%s has the unknown field \"%s\"; the fields are %s."
                .formatted(
                    path,
                    name.length() <= SHOWN ? name : name.substring(0, SHOWN) + "...",
                    fields.stream().sorted().toList()));
      }
    }
  }

  /** The names of the fields of an object of at most {@code max}. */
  public List<String> names(int max) {
    if (!node.isObject() || node.size() > max) {
      throw refuse("an object of at most " + max + " fields");
    }
    List<String> names = new ArrayList<>();
    node.fieldNames().forEachRemaining(names::add);
    return names;
  }

  /** The items of an array of at most {@code max}. */
  public List<JsonValue> items(int max) {
    if (!node.isArray() || node.size() > max) {
      throw refuse("an array of at most " + max);
    }
    List<JsonValue> items = new ArrayList<>(node.size());
    for (int i = 0; i < node.size(); i++) {
      items.add(new JsonValue(node.get(i), path + "[" + i + "]"));
    }
    return items;
  }

  /** A string. */
  public String text() {
    if (!node.isTextual()) {
      throw refuse("a string");
    }
    String text = node.textValue();
    if (text.codePoints().anyMatch(JsonValue::isHalf)) {
      throw refuse("a string of whole characters");
    }
    return text;
  }

  /** Half of a surrogate pair by itself: it would be another character after it was written. */
  private static boolean isHalf(int codePoint) {
    return codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE;
  }

  /** Strings, at most {@code max}. */
  public List<String> texts(int max) {
    return items(max).stream().map(JsonValue::text).toList();
  }

  /** True or false. */
  public boolean truth() {
    if (!node.isBoolean()) {
      throw refuse("true or false");
    }
    return node.booleanValue();
  }

  /** A whole number in a closed range. */
  public long integer(long min, long max) {
    if (!node.isIntegralNumber()
        || !node.canConvertToLong()
        || node.longValue() < min
        || node.longValue() > max) {
      throw refuse("an integer from " + min + " to " + max);
    }
    return node.longValue();
  }

  /** Whole numbers from 0 to {@code largest}, at most {@code max} of them. */
  public List<Integer> indices(int max, int largest) {
    // Long lists of receivers are the bulk of large plans: no path is made for each number.
    if (!node.isArray() || node.size() > max) {
      throw refuse("an array of at most " + max);
    }
    Integer[] numbers = new Integer[node.size()];
    for (int i = 0; i < numbers.length; i++) {
      JsonNode item = node.get(i);
      if (!item.isInt() || item.intValue() < 0 || item.intValue() > largest) {
        throw new JsonValue(item, path + "[" + i + "]").refuse("an integer from 0 to " + largest);
      }
      numbers[i] = item.intValue();
    }
    return List.of(numbers);
  }

  /** A finite number in a closed range. */
  public double number(double min, double max) {
    if (!node.isNumber() || !(node.doubleValue() >= min && node.doubleValue() <= max)) {
      throw refuse("a number from " + min + " to " + max);
    }
    return node.doubleValue();
  }
}
