package io.crossmesh.plan;

/**
 * Keeps pieces that will be relayed at a constant share of all that starts. Two relays that fall
 * due at once take two receivers from the senders, and where all NICs are loaded alike a sender
 * then idles and never makes up for it.
 */
final class RelayRate {
  /** So much of a chunk's relaying may come early. */
  private static final double EARLY_CHUNKS = 0.25;

  private double bytes;
  private double relays;
  private double started;
  private double relayed;

  /** Announces a piece that will start at some time. */
  void expect(long size, int hops) {
    bytes += size;
    relays += (double) size * hops;
  }

  /** Counts a piece that starts. */
  void count(long size, int hops) {
    started += size;
    relayed += (double) size * hops;
  }

  /** Whether more has been sent to relays than the share of what has started. */
  boolean ahead(double moreStarted, double moreRelayed, double chunkBytes) {
    double early = EARLY_CHUNKS * chunkBytes;
    return (relayed + moreRelayed) * bytes > relays * (started + moreStarted) + early * bytes;
  }
}
