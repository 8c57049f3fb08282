package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.WireHeader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayDeque;

/**
 * Native memory for the headers of sends under way: UCX may read a header until its send is done,
 * the caller's copy is gone before. Grows by slabs to the most sends ever under way at once.
 *
 * <p>What UCX carries as header is the engine's, then the number of the {@link Link} and the
 * message's position on it, 8 bytes each, little-endian.
 */
final class HeaderPool {
  /** Bytes of a framed header. */
  static final int BYTES = WireHeader.BYTES + 16;

  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private static final int HEADERS_PER_SLAB = 64;

  private final Arena memory;
  private final ArrayDeque<MemorySegment> free = new ArrayDeque<>(HEADERS_PER_SLAB);

  HeaderPool(Arena memory) {
    this.memory = memory;
  }

  /** A framed copy of {@code header}, to be given back when its send is done. */
  MemorySegment frame(MemorySegment header, long link, long sequence) {
    if (free.isEmpty()) {
      MemorySegment slab = memory.allocate((long) HEADERS_PER_SLAB * BYTES, 64);
      for (int i = 0; i < HEADERS_PER_SLAB; i++) {
        free.push(slab.asSlice((long) i * BYTES, BYTES));
      }
    }
    MemorySegment framed = free.pop();
    MemorySegment.copy(header, 0, framed, 0, WireHeader.BYTES);
    framed.set(LONG, WireHeader.BYTES, link);
    framed.set(LONG, WireHeader.BYTES + 8, sequence);
    return framed;
  }

  void give(MemorySegment framed) {
    free.push(framed);
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
