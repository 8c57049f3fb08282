package io.crossmesh.transfer;

/** The two ends of a channel. */
public enum Side {
  /** Where tensors come from. */
  SRC("source"),
  /** Where tensors go to. */
  DST("destination");

  private final String word;

  Side(String word) {
    this.word = word;
  }

  /** In the words of messages. */
  String word() {
    return word;
  }
}
