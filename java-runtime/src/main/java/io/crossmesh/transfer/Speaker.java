package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * Whose messages a connection carries: those of the agent that its first message names. A transport
 * keeps one for each connection that was let in, and refuses what is said in another's name.
 */
public final class Speaker {
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private long epoch;
  private boolean known;

  /**
   * Whether a message is of the agent that the connection is of.
   *
   * @param header a {@link WireHeader}, of at least {@value WireHeader#BYTES} bytes
   */
  public boolean says(MemorySegment header) {
    long named = header.get(LONG, WireHeader.EPOCH_OFFSET);
    if (!known) {
      known = true;
      epoch = named;
    }
    return named == epoch;
  }
}
