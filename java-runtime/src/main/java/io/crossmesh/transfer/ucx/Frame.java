package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.WireHeader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * What UCX carries as header: the engine's, then the number of the {@link Link} and the message's
 * position on it, 8 bytes each, little-endian.
 */
final class Frame {
  /** Bytes of a framed header. */
  static final int BYTES = WireHeader.BYTES + 16;

  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Frame() {}

  /** Writes a framed copy of {@code header}. */
  static void write(MemorySegment framed, MemorySegment header, long link, long sequence) {
    MemorySegment.copy(header, 0, framed, 0, WireHeader.BYTES);
    label(framed, link);
    framed.set(LONG, WireHeader.BYTES + 8, sequence);
  }

  /** Writes another number of a link into a framed header. */
  static void label(MemorySegment framed, long link) {
    framed.set(LONG, WireHeader.BYTES, link);
  }

  static long link(MemorySegment framed) {
    return framed.get(LONG, WireHeader.BYTES);
  }

  static long sequence(MemorySegment framed) {
    return framed.get(LONG, WireHeader.BYTES + 8);
  }
}
