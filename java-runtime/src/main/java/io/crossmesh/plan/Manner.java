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
 */
record Manner(boolean joint, double slackPieces) {
  /** The one that suffices nearly always. */
  static final Manner USUAL = new Manner(false, 1.5);

  /** All that are tried, the most likely to help first. */
  static final List<Manner> ALL =
      List.of(
          USUAL,
          new Manner(true, 1.5),
          new Manner(false, 3),
          new Manner(true, 0.75),
          new Manner(false, 0.75),
          new Manner(false, 8));
}
