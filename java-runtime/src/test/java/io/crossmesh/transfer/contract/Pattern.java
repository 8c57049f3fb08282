package io.crossmesh.transfer.contract;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Test messages whose payload follows from their header, so that the receiver can check it. */
public final class Pattern {
  private static final long GOLDEN = 0x9E3779B97F4A7C15L;

  private Pattern() {}

  public static void writeHeader(
      MemorySegment header, long sender, long sequence, boolean discard) {
    // Where transports look for it.
    header.set(ValueLayout.JAVA_LONG, 8, sender);
    header.set(ValueLayout.JAVA_LONG, 0, sequence);
    header.set(ValueLayout.JAVA_LONG, 16, discard ? 1 : 0);
  }

  public static long sender(MemorySegment header) {
    return header.get(ValueLayout.JAVA_LONG_UNALIGNED, 8);
  }

  public static long sequence(MemorySegment header) {
    return header.get(ValueLayout.JAVA_LONG_UNALIGNED, 0);
  }

  public static boolean discard(MemorySegment header) {
    return header.get(ValueLayout.JAVA_LONG_UNALIGNED, 16) == 1;
  }

  public static void fill(MemorySegment payload, long sender, long sequence) {
    long words = payload.byteSize() / 8;
    for (long i = 0; i < words; i++) {
      payload.set(ValueLayout.JAVA_LONG_UNALIGNED, i * 8, word(sender, sequence, i));
    }
    for (long i = words * 8; i < payload.byteSize(); i++) {
      payload.set(ValueLayout.JAVA_BYTE, i, (byte) word(sender, sequence, i));
    }
  }

  /** The first byte that is wrong, or -1. */
  public static long firstWrong(MemorySegment payload, long sender, long sequence) {
    long words = payload.byteSize() / 8;
    for (long i = 0; i < words; i++) {
      if (payload.get(ValueLayout.JAVA_LONG_UNALIGNED, i * 8) != word(sender, sequence, i)) {
        return i * 8;
      }
    }
    for (long i = words * 8; i < payload.byteSize(); i++) {
      if (payload.get(ValueLayout.JAVA_BYTE, i) != (byte) word(sender, sequence, i)) {
        return i;
      }
    }
    return -1;
  }

  private static long word(long sender, long sequence, long index) {
    long x = (sender * 31 + sequence + 1) * GOLDEN + index * 0xD1B54A32D192ED03L;
    return x ^ x >>> 29;
  }
}
