package io.crossmesh.mesh;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Reads and writes the notation of layouts, as in "S0 R S1". An axis of one digit is written by it;
 * where one has more, all of its item stand in brackets, as in "S(0,11)".
 */
final class Notation {
  private static final int MAX_DIGITS = 6;

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
      if (c == 'S' && at < notation.length() && notation.charAt(at) == '(') {
        int end = notation.indexOf(')', at);
        axes.addAll(numbers(notation, at + 1, end));
        at = end + 1;
      }
      if (axes.isEmpty()) {
        at = digits(notation, at, axes);
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

  private static int digits(String notation, int from, List<Integer> axes) {
    int at = from;
    while (at < notation.length() && isDigit(notation.charAt(at))) {
      axes.add(notation.charAt(at++) - '0');
    }
    return at;
  }

  private static List<Integer> numbers(String notation, int from, int to) {
    if (to < 0) {
      throw refuse(notation, "the bracket at position " + (from - 1) + " does not end");
    }
    List<Integer> axes = new ArrayList<>();
    for (String number : notation.substring(from, to).split(",", -1)) {
      String digits = number.strip();
      if (digits.isEmpty()
          || digits.length() > MAX_DIGITS
          || !digits.chars().allMatch(c -> isDigit((char) c))) {
        throw refuse(notation, "'" + number + "' in brackets is no mesh axis");
      }
      axes.add(Integer.parseInt(digits));
    }
    return axes;
  }

  private static boolean isDigit(char c) {
    return c >= '0' && c <= '9';
  }

  private static RuntimeException refuse(String notation, String why) {
    String shown = notation.length() <= 64 ? notation : notation.substring(0, 64) + "...";
    return Checks.layout(
        ("The layout '%s' cannot be read: %s. Write one item per tensor dimension: R, or S and the"
                + " digits of its mesh axes, as in 'S0 R S1', 'S01' or 'S(0,11)'.")
            .formatted(shown, why));
  }

  static String write(List<List<Integer>> spec) {
    StringBuilder text = new StringBuilder();
    for (List<Integer> axes : spec) {
      text.append(text.isEmpty() ? "" : " ").append(axes.isEmpty() ? "R" : "S");
      if (axes.stream().allMatch(axis -> axis < 10)) {
        axes.forEach(text::append);
      } else {
        text.append(axes.stream().map(String::valueOf).collect(Collectors.joining(",", "(", ")")));
      }
    }
    return text.toString();
  }
}
