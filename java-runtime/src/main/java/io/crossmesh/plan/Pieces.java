package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.ArrayList;
import java.util.List;

/** Cuts boxes into nearly equal boxes. */
final class Pieces {
  private Pieces() {}

  /**
   * About {@code count} boxes, never more, that together are the box, row-major. The outermost
   * dimension is cut first, so that pieces stay as contiguous in memory as the box is.
   */
  static List<Box> cut(Box box, long count) {
    if (count <= 1) {
      return List.of(box);
    }
    List<Box> pieces = new ArrayList<>();
    long[] lo = new long[box.rank()];
    long[] hi = new long[box.rank()];
    for (int d = 0; d < lo.length; d++) {
      lo[d] = box.lo(d);
      hi[d] = box.hi(d);
    }
    cut(lo, hi, 0, count, pieces);
    return pieces;
  }

  private static void cut(long[] lo, long[] hi, int d, long count, List<Box> pieces) {
    if (count <= 1 || d == lo.length) {
      pieces.add(Box.of(lo, hi));
      return;
    }
    long from = lo[d];
    long to = hi[d];
    long extent = to - from;
    // Few thick slabs would differ by much: then every index is a slab, itself cut further.
    long slabs = Math.min(extent, count);
    long each = count / slabs;
    for (long i = 0; i < slabs; i++) {
      lo[d] = from + extent * i / slabs;
      hi[d] = from + extent * (i + 1) / slabs;
      cut(lo, hi, d + 1, each, pieces);
    }
    lo[d] = from;
    hi[d] = to;
  }
}
