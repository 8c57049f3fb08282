package io.crossmesh.mesh;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.List;
import java.util.stream.Collectors;

/** How this package refuses a value: always {@link Code#LAYOUT} and a remedy. */
final class Checks {
  /** Longest host name and tensor key that is accepted, in UTF-16 units. */
  static final int MAX_NAME = 4096;

  private static final int SHOWN = 4;

  private Checks() {}

  static CrossmeshException layout(String message) {
    return new CrossmeshException(Code.LAYOUT, message);
  }

  /** Refuses names that could not be told apart, or that would break a table or a log line. */
  static void name(String what, String name) {
    if (name.length() > MAX_NAME) {
      throw layout(
          "%s has %d characters; use at most %d.".formatted(what, name.length(), MAX_NAME));
    }
    for (int i = 0; i < name.length(); i++) {
      if (Character.isISOControl(name.charAt(i))) {
        throw layout(
            "%s \"%s\" has a control character at position %d; remove it."
                .formatted(what, name.replaceAll("\\p{Cntrl}", "?"), i));
      }
    }
  }

  /** "a, b, c, d and 4 more": a list that stays short in a message. */
  static String brief(List<?> items) {
    if (items.size() <= SHOWN) {
      return items.stream().map(Object::toString).collect(Collectors.joining(", "));
    }
    return items.subList(0, SHOWN).stream().map(Object::toString).collect(Collectors.joining(", "))
        + " and "
        + (items.size() - SHOWN)
        + " more";
  }
}
