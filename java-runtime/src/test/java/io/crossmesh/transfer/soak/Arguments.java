package io.crossmesh.transfer.soak;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** {@code name=number} arguments of a command line; those without a number are as if not given. */
final class Arguments {
  private final Map<String, Long> values;

  private Arguments(Map<String, Long> values) {
    this.values = values;
  }

  /** Reads arguments; throws {@link IllegalArgumentException} for those of another name. */
  static Arguments of(String[] args, String... names) {
    Map<String, Long> values = new HashMap<>();
    for (String arg : args) {
      int at = arg.indexOf('=');
      String name = at < 0 ? arg : arg.substring(0, at);
      if (at < 0 || !List.of(names).contains(name)) {
        throw new IllegalArgumentException(
            "'%s' is not one of %s; write name=number.".formatted(arg, List.of(names)));
      }
      if (at + 1 < arg.length()) {
        values.put(name, Long.parseLong(arg.substring(at + 1)));
      }
    }
    return new Arguments(values);
  }

  boolean has(String name) {
    return values.containsKey(name);
  }

  long number(String name, long otherwise) {
    return values.getOrDefault(name, otherwise);
  }
}
