package io.crossmesh.schedule;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One operation of a stage.
 *
 * @param kind forward, backward or weight gradient
 * @param microbatch from 0
 * @param virtualStage the part of the model, from 0 at the inputs to {@code stages * virtual - 1}
 *     at the loss; it lies on stage {@code virtualStage % stages}
 */
public record Op(OpKind kind, int microbatch, int virtualStage) {
  private static final Pattern TEXT = Pattern.compile("([FBW])([0-9]{1,9})\\.([0-9]{1,9})");

  /** The operation that {@link #toString} wrote. */
  public static Op parse(String text) {
    Matcher match = TEXT.matcher(text);
    if (!match.matches()) {
      throw Refusal.of(
          "Cannot read the operation \"%s\"; write kind, micro-batch and virtual stage, as in F3.0."
              .formatted(text.length() <= 20 ? text : text.substring(0, 20) + "..."));
    }
    return new Op(
        OpKind.of(match.group(1).charAt(0)),
        Integer.parseInt(match.group(2)),
        Integer.parseInt(match.group(3)));
  }

  /** Kind, micro-batch and virtual stage, as in {@code F3.0}: also the canonical form. */
  @Override
  public String toString() {
    return "" + kind.letter() + microbatch + '.' + virtualStage;
  }
}
