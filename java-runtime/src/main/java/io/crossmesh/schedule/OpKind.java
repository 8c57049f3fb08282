package io.crossmesh.schedule;

import io.crossmesh.CrossmeshException;

/** What a stage does with a micro-batch. */
public enum OpKind {
  /** The forward pass. */
  FORWARD('F', 0),
  /**
   * The backward pass: of the inputs alone where the schedule has weight operations, else whole.
   */
  BACKWARD('B', 1),
  /** The gradient of the weights, which no other stage waits for. */
  WEIGHT('W', 2);

  /** Kinds there are. */
  static final int COUNT = 3;

  private final char letter;
  private final int index;

  OpKind(char letter, int index) {
    this.letter = letter;
    this.index = index;
  }

  /** Its place in a stage's work on one micro-batch, from 0. */
  int index() {
    return index;
  }

  /** {@code F}, {@code B} or {@code W}. */
  public char letter() {
    return letter;
  }

  /** The kind at a place. */
  static OpKind at(int index) {
    return switch (index) {
      case 0 -> FORWARD;
      case 1 -> BACKWARD;
      default -> WEIGHT;
    };
  }

  static OpKind of(char letter) {
    for (OpKind kind : values()) {
      if (kind.letter == letter) {
        return kind;
      }
    }
    throw refusal(letter);
  }

  private static CrossmeshException refusal(char letter) {
    return Refusal.of("There is no operation '%s'; the kinds are F, B and W.".formatted(letter));
  }
}
