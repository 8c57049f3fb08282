package io.crossmesh.memory;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import io.crossmesh.mesh.Box;
import java.lang.foreign.MemorySegment;

/**
 * How a box lies in the memory of a row-major tile, and the copies between that memory and the
 * box's packed bytes.
 *
 * <p>Inner dimensions that the box covers whole are merged, so the box is a number of equal runs of
 * contiguous bytes, placed by at most eight strides. A packed byte range may begin and end inside a
 * run: chunks are cut without regard to rows. Where a range begins is found by division, so nothing
 * is remembered between calls: an instance is immutable, and copying allocates nothing.
 */
public final class TileLayout {
  /**
   * Runs up to this length are copied by a loop of loads and stores, longer ones by a call each.
   */
  private static final long SHORT_RUN_BYTES = 64;

  /** Bytes of one contiguous run. */
  private final long runBytes;

  private final long bytes;

  /** Byte offset in the tile of the box's first element. */
  private final long offset;

  /** Extents of the dimensions outside a run, outermost first, and their strides in bytes. */
  private final long[] extents;

  private final long[] strides;

  private TileLayout(long runBytes, long bytes, long offset, long[] extents, long[] strides) {
    this.runBytes = runBytes;
    this.bytes = bytes;
    this.offset = offset;
    this.extents = extents;
    this.strides = strides;
  }

  /**
   * The layout of a box in a tile, both in the coordinates of the tensor.
   *
   * @param tile what the memory holds, row-major
   * @param box inside the tile
   * @param elementBytes bytes of one element
   */
  public static TileLayout of(Box tile, Box box, int elementBytes) {
    int rank = tile.rank();
    long[] extents = new long[rank];
    long[] lo = new long[rank];
    long[] extent = new long[rank];
    for (int d = 0; d < rank; d++) {
      extents[d] = tile.extent(d);
      lo[d] = box.lo(d) - tile.lo(d);
      extent[d] = box.extent(d);
    }
    return of(extents, lo, extent, elementBytes);
  }

  /** The layout of bytes that follow each other from the tile's first on. */
  public static TileLayout contiguous(long bytes) {
    return of(new long[] {bytes}, new long[] {0}, new long[] {bytes}, 1);
  }

  /**
   * The layout of a box in a tile.
   *
   * @param tile extents of the tile, outermost dimension first, in elements
   * @param lo where the box begins in the tile, in elements
   * @param extent extents of the box, in elements
   * @param elementBytes bytes of one element
   */
  static TileLayout of(long[] tile, long[] lo, long[] extent, int elementBytes) {
    int rank = tile.length;
    if (lo.length != rank || extent.length != rank || elementBytes <= 0) {
      throw new IllegalArgumentException("tile and box differ in rank, or elements have no bytes");
    }
    long bytes = elementBytes;
    for (int d = 0; d < rank; d++) {
      if (lo[d] < 0 || extent[d] < 0 || lo[d] + extent[d] > tile[d]) {
        throw new IllegalArgumentException(
            "dimension %d of the box, [%d, %d), is outside its tile of extent %d"
                .formatted(d, lo[d], lo[d] + extent[d], tile[d]));
      }
      bytes = Math.multiplyExact(bytes, extent[d]);
    }
    if (bytes == 0) {
      return new TileLayout(0, 0, 0, new long[0], new long[0]);
    }
    return merged(tile, lo, extent, elementBytes, bytes);
  }

  private static TileLayout merged(
      long[] tile, long[] lo, long[] extent, int elementBytes, long bytes) {
    int rank = tile.length;
    long stride = elementBytes;
    long run = elementBytes;
    long offset = 0;
    long[] extents = new long[rank];
    long[] strides = new long[rank];
    int kept = 0;
    for (int d = rank - 1; d >= 0; d--) {
      offset += lo[d] * stride;
      if (extent[d] != 1) {
        if (kept == 0 && run == stride) {
          run *= extent[d];
        } else if (kept > 0 && strides[kept - 1] * extents[kept - 1] == stride) {
          extents[kept - 1] *= extent[d];
        } else {
          extents[kept] = extent[d];
          strides[kept++] = stride;
        }
      }
      stride *= tile[d];
    }
    long[] outerFirst = new long[kept];
    long[] strideOf = new long[kept];
    for (int i = 0; i < kept; i++) {
      outerFirst[i] = extents[kept - 1 - i];
      strideOf[i] = strides[kept - 1 - i];
    }
    return new TileLayout(run, bytes, offset, outerFirst, strideOf);
  }

  /** Whether the box is one run of bytes in the tile. An empty box is. */
  public boolean contiguous() {
    return extents.length == 0;
  }

  /** Where in the tile the box begins, in bytes. */
  public long offset() {
    return offset;
  }

  /** Bytes of the box. */
  public long bytes() {
    return bytes;
  }

  /**
   * Copies packed bytes [{@code from}, {@code from + length}) of the box out of the tile.
   *
   * @param memory holds the tile from byte {@code tileBase}
   * @param out takes the bytes from byte {@code outBase}
   */
  public void pack(
      MemorySegment memory,
      long tileBase,
      long from,
      long length,
      MemorySegment out,
      long outBase) {
    copy(memory, tileBase, from, length, out, outBase, true);
  }

  /**
   * Copies packed bytes [{@code from}, {@code from + length}) of the box into the tile.
   *
   * @param in holds the bytes from byte {@code inBase}
   * @param memory holds the tile from byte {@code tileBase}
   */
  public void unpack(
      MemorySegment in, long inBase, long from, long length, MemorySegment memory, long tileBase) {
    copy(memory, tileBase, from, length, in, inBase, false);
  }

  private void copy(
      MemorySegment tile,
      long tileBase,
      long from,
      long length,
      MemorySegment packed,
      long packedBase,
      boolean pack) {
    if (from < 0 || length < 0 || length > bytes - from) {
      throw new IllegalArgumentException(
          "bytes [%d, %d) of a box of %d".formatted(from, from + length, bytes));
    }
    long base = tileBase + offset;
    if (contiguous()) {
      move(tile, base + from, packed, packedBase, length, pack);
      return;
    }
    int last = extents.length - 1;
    long innerExtent = extents[last];
    long innerStride = strides[last];
    long at = packedBase;
    long run = from / runBytes;
    long skip = from % runBytes;
    long left = length;
    while (left > 0) {
      // One pass serves what is left of one row of runs, along the innermost stride.
      long inner = run % innerExtent;
      long place = base + rowOffset(run / innerExtent) + inner * innerStride;
      if (skip > 0 || left < runBytes) {
        long part = Math.min(runBytes - skip, left);
        move(tile, place + skip, packed, at, part, pack);
        skip = 0;
        at += part;
        left -= part;
        run++;
        continue;
      }
      long runs = Math.min(innerExtent - inner, left / runBytes);
      moveRuns(tile, place, innerStride, packed, at, runs, pack);
      at += runs * runBytes;
      left -= runs * runBytes;
      run += runs;
    }
  }

  /** Byte offset of a row of runs: its index written in the mixed radix of the outer extents. */
  private long rowOffset(long row) {
    long rest = row;
    long result = 0;
    for (int d = extents.length - 2; d >= 0 && rest > 0; d--) {
      result += rest % extents[d] * strides[d];
      rest /= extents[d];
    }
    return result;
  }

  private void moveRuns(
      MemorySegment tile,
      long tileAt,
      long stride,
      MemorySegment packed,
      long packedAt,
      long runs,
      boolean pack) {
    if (runBytes > SHORT_RUN_BYTES || (runBytes > 8 && runBytes % 8 != 0)) {
      if (pack) {
        RowCopy.copy(tile, tileAt, stride, packed, packedAt, runBytes, runs, runBytes);
      } else {
        RowCopy.copy(packed, packedAt, runBytes, tile, tileAt, stride, runs, runBytes);
      }
    } else if (pack) {
      shortRuns(tile, tileAt, stride, packed, packedAt, runBytes, runs, runBytes);
    } else {
      shortRuns(packed, packedAt, runBytes, tile, tileAt, stride, runs, runBytes);
    }
  }

  private static void shortRuns(
      MemorySegment from,
      long fromAt,
      long fromStride,
      MemorySegment to,
      long toAt,
      long toStride,
      long runs,
      long runBytes) {
    if (runBytes == 4) {
      for (long i = 0; i < runs; i++) {
        int value = from.get(JAVA_INT_UNALIGNED, fromAt + i * fromStride);
        to.set(JAVA_INT_UNALIGNED, toAt + i * toStride, value);
      }
    } else if (runBytes == 2) {
      for (long i = 0; i < runs; i++) {
        short value = from.get(JAVA_SHORT_UNALIGNED, fromAt + i * fromStride);
        to.set(JAVA_SHORT_UNALIGNED, toAt + i * toStride, value);
      }
    } else if (runBytes % 8 == 0) {
      for (long i = 0; i < runs; i++) {
        for (long word = 0; word < runBytes; word += 8) {
          long value = from.get(JAVA_LONG_UNALIGNED, fromAt + i * fromStride + word);
          to.set(JAVA_LONG_UNALIGNED, toAt + i * toStride + word, value);
        }
      }
    } else {
      for (long i = 0; i < runs; i++) {
        for (long b = 0; b < runBytes; b++) {
          to.set(
              JAVA_BYTE, toAt + i * toStride + b, from.get(JAVA_BYTE, fromAt + i * fromStride + b));
        }
      }
    }
  }

  private static void move(
      MemorySegment tile,
      long tileAt,
      MemorySegment packed,
      long packedAt,
      long length,
      boolean pack) {
    if (pack) {
      RowCopy.copy(tile, tileAt, length, packed, packedAt, length, 1, length);
    } else {
      RowCopy.copy(packed, packedAt, length, tile, tileAt, length, 1, length);
    }
  }
}
