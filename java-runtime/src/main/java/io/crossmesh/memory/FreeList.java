package io.crossmesh.memory;

import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The free extents of a range of bytes, ordered by offset and never adjacent: neighbours are merged
 * when an extent comes back. First fit by address keeps what is in use, and so the pages really
 * allocated, dense at the low end. Not thread-safe.
 */
final class FreeList {
  private final TreeMap<Long, Long> lengths = new TreeMap<>();

  FreeList(long bytes) {
    lengths.put(0L, bytes);
  }

  /** Takes {@code length} bytes at a multiple of {@code alignment}; -1 if no extent holds them. */
  long take(long length, long alignment) {
    Map.Entry<Long, Long> extent = firstFit(length, alignment);
    if (extent == null) {
      return -1;
    }
    long start = extent.getKey();
    long end = start + extent.getValue();
    lengths.remove(start);
    long at = roundUp(start, alignment);
    if (at > start) {
      lengths.put(start, at - start);
    }
    if (at + length < end) {
      lengths.put(at + length, end - at - length);
    }
    return at;
  }

  private Map.@Nullable Entry<Long, Long> firstFit(long length, long alignment) {
    for (Map.Entry<Long, Long> extent : lengths.entrySet()) {
      long start = extent.getKey();
      long room = extent.getValue() - (roundUp(start, alignment) - start);
      if (length <= room) {
        return extent;
      }
    }
    return null;
  }

  /** Gives back an extent that {@link #take} returned. */
  void give(long offset, long length) {
    long start = offset;
    long end = offset + length;
    Map.Entry<Long, Long> before = lengths.floorEntry(start);
    if (before != null && before.getKey() + before.getValue() == start) {
      start = before.getKey();
    }
    Long after = lengths.remove(end);
    if (after != null) {
      end += after;
    }
    lengths.put(start, end - start);
  }

  /** The largest extent there is. */
  long largest() {
    return lengths.values().stream().mapToLong(Long::longValue).max().orElse(0);
  }

  /** In how many pieces the free bytes lie. */
  int extents() {
    return lengths.size();
  }

  static long roundUp(long value, long alignment) {
    return Math.ceilDiv(value, alignment) * alignment;
  }
}
