package io.crossmesh.mesh;

/**
 * One network card of a host, full duplex.
 *
 * @param bandwidth bytes per second in each direction
 * @param latency seconds from the first byte of a message sent to its arrival, besides its bytes
 */
public record Nic(double bandwidth, double latency) {
  /** Slowest and fastest card that is accepted, in bytes per second. */
  public static final double MIN_BANDWIDTH = 1;

  public static final double MAX_BANDWIDTH = 1e15;

  /** Longest latency that is accepted, in seconds. */
  public static final double MAX_LATENCY = 3600;

  public Nic {
    // Negated, so that NaN is refused as well.
    if (!(bandwidth >= MIN_BANDWIDTH && bandwidth <= MAX_BANDWIDTH)) {
      throw Checks.layout(
          "A NIC has a bandwidth of %s bytes/s; give a number from %s to %s."
              .formatted(bandwidth, MIN_BANDWIDTH, MAX_BANDWIDTH));
    }
    if (!(latency >= 0 && latency <= MAX_LATENCY)) {
      throw Checks.layout(
          "A NIC has a latency of %s s; give a number from 0 to %s."
              .formatted(latency, MAX_LATENCY));
    }
    latency = latency + 0.0; // -0.0 becomes 0.0: equal topologies have equal digests
  }
}
