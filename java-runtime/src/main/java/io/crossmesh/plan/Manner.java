package io.crossmesh.plan;

import java.util.List;

/**
 * How {@link Interleaver} fills the NICs. No manner is best for all layouts, and which one is shows
 * only in the prediction.
 *
 * @param joint whether a chain starts only where all its receivers can take it as it comes, so that
 *     relays never wait; else wherever sender and first receiver are free
 * @param slackPieces a NIC direction is critical when so many of the longest pieces more would make
 *     it the last
 * @param deadlines what deadlines count for
 */
record Manner(boolean joint, double slackPieces, Deadlines deadlines) {
  /** Whether what is needed earlier goes first. */
  enum Deadlines {
    IGNORED,
    /** Earliest needed first, whatever becomes of the NICs. */
    FIRST,
    /** Where no NIC with more to do would idle for it. */
    AFTER_CRITICAL
  }

  /** The one that suffices nearly always. */
  static final Manner USUAL = new Manner(false, 1.5, Deadlines.IGNORED);

  /** All that are tried, the most likely to help first. */
  static final List<Manner> ALL =
      List.of(
          USUAL,
          new Manner(true, 1.5, Deadlines.IGNORED),
          new Manner(false, 3, Deadlines.IGNORED),
          new Manner(true, 0.75, Deadlines.IGNORED),
          new Manner(false, 0.75, Deadlines.IGNORED),
          new Manner(false, 8, Deadlines.IGNORED));

  /** Those that are tried for the sake of deadlines. */
  static final List<Manner> URGENT =
      List.of(
          new Manner(false, 1.5, Deadlines.FIRST),
          new Manner(true, 1.5, Deadlines.FIRST),
          new Manner(false, 1.5, Deadlines.AFTER_CRITICAL),
          new Manner(true, 1.5, Deadlines.AFTER_CRITICAL));

  /** How early a start goes: the larger, the earlier. */
  int rank(int critical, int urgencyClass) {
    int urgent = Urgency.MAX_CLASSES - urgencyClass;
    return switch (deadlines) {
      case IGNORED -> critical;
      case FIRST -> urgent * MOST_CRITICAL + critical;
      case AFTER_CRITICAL -> critical * (Urgency.MAX_CLASSES + 1) + urgent;
    };
  }

  /** More than a start does for critical NICs. */
  private static final int MOST_CRITICAL = 5;
}
