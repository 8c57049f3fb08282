package io.crossmesh.mesh;

import java.util.ArrayList;
import java.util.List;

/** Reads and writes the notation of layouts, as in "S0 R S1". */
final class Notation {
  private Notation() {}

  static List<List<Integer>> parse(String notation) {
    List<List<Integer>> spec = new ArrayList<>();
    int at = 0;
    while (at < notation.length()) {
      char c = notation.charAt(at++);
      if (c == ' ') {
        continue;
      }
      if (c != 'R' && c != 'S') {
        throw refuse(notation, "'" + c + "' at position " + (at - 1) + " begins no item");
      }
      List<Integer> axes = new ArrayList<>();
      while (at < notation.length() && isDigit(notation.charAt(at))) {
        axes.add(notation.charAt(at++) - '0');
      }
      if (c == 'S' && axes.isEmpty()) {
        throw refuse(notation, "the S before position " + at + " names no mesh axis");
      }
      if (c == 'R' && !axes.isEmpty()) {
        throw refuse(notation, "the R before position " + at + " is followed by a digit");
      }
      if (spec.size() == TensorSpec.MAX_RANK) {
        throw refuse(notation, "it has more than " + TensorSpec.MAX_RANK + " dimensions");
      }
      spec.add(axes);
    }
    return spec;
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  private static RuntimeException refuse(String notation, String why) {
    String shown = notation.length() <= 64 ? notation : notation.substring(0, 64) + "...";
    return Checks.layout(
        ("The layout '%s' cannot be read: %s. Write one item per tensor dimension: R, or S and the"
                + " digits of its mesh axes, as in 'S0 R S1' or 'S01'.")
            .formatted(shown, why));
  }

  static String write(List<List<Integer>> spec) {
    StringBuilder text = new StringBuilder();
    for (List<Integer> axes : spec) {
      text.append(text.isEmpty() ? "" : " ").append(axes.isEmpty() ? "R" : "S");
      axes.forEach(text::append);
    }
    return text.toString();
  }
}
