package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Whether boxes cover a region exactly once, by halving: the region is cut at the median of the
 * boxes' own faces until what is left of it is exactly one box, or a row of boxes one after
 * another. A part without a box is missing, one with two is covered twice. For the boxes of a grid
 * that is n log n; nothing is copied but the numbers of the boxes that reach into a part.
 */
final class ExactCover {
  private final List<Box> boxes;

  /** The part that is looked at: {@code [lo, hi)} of each dimension. */
  private final long[] lo;

  private final long[] hi;

  /** Room for the faces of two dimensions: of the one that is looked at, and of the best so far. */
  private long[] faces;

  private long[] best;

  private ExactCover(Box region, List<Box> boxes) {
    this.boxes = boxes;
    lo = new long[region.rank()];
    hi = new long[region.rank()];
    Arrays.setAll(lo, region::lo);
    Arrays.setAll(hi, region::hi);
    faces = new long[2 * boxes.size()];
    best = new long[2 * boxes.size()];
  }

  /** What keeps boxes inside a non-empty region from covering it exactly once, or nothing. */
  static Optional<String> fault(Box region, List<Box> boxes) {
    int[] all = new int[boxes.size()];
    Arrays.setAll(all, i -> i);
    return new ExactCover(region, boxes).fault(all, all.length);
  }

  /** The same of the part and the first {@code count} boxes of a list, which all reach into it. */
  private Optional<String> fault(int[] inside, int count) {
    if (count == 0) {
      return Optional.of("%s reaches it in no move".formatted(Box.of(lo, hi)));
    }
    for (int i = 0; i < count; i++) {
      if (coversPart(boxes.get(inside[i]))) {
        return count == 1
            ? Optional.empty()
            : Optional.of("%s reaches it in %d moves".formatted(Box.of(lo, hi), count));
      }
    }
    int dimension = -1;
    int most = 0;
    int dimensions = 0;
    for (int d = 0; d < lo.length; d++) {
      int found = innerFaces(inside, count, d);
      dimensions += found > 0 ? 1 : 0;
      if (found > most) {
        most = found;
        dimension = d;
        long[] swap = best;
        best = faces;
        faces = swap;
      }
    }
    if (dimensions == 1 && isRow(inside, count, dimension)) {
      return Optional.empty();
    }
    Arrays.sort(best, 0, most);
    long plane = best[most / 2];
    long end = hi[dimension];
    int[] half = new int[count];
    hi[dimension] = plane;
    Optional<String> fault = fault(half, select(inside, count, half, dimension));
    hi[dimension] = end;
    if (fault.isPresent()) {
      return fault;
    }
    long begin = lo[dimension];
    lo[dimension] = plane;
    fault = fault(half, select(inside, count, half, dimension));
    lo[dimension] = begin;
    return fault;
  }

  /**
   * Whether boxes, each of which spans the part in all other dimensions, cover it exactly once: so
   * they do if as they begin and as they end, both in order, each begins where one ends. Then at
   * every place one more has begun than has ended.
   */
  private boolean isRow(int[] inside, int count, int d) {
    long[] begins = new long[count];
    long[] ends = new long[count];
    for (int i = 0; i < count; i++) {
      Box box = boxes.get(inside[i]);
      begins[i] = Math.max(lo[d], box.lo(d));
      ends[i] = Math.min(hi[d], box.hi(d));
    }
    Arrays.sort(begins);
    Arrays.sort(ends);
    return begins[0] == lo[d]
        && ends[count - 1] == hi[d]
        && Arrays.equals(begins, 1, count, ends, 0, count - 1);
  }

  private boolean coversPart(Box box) {
    for (int d = 0; d < lo.length; d++) {
      if (box.lo(d) > lo[d] || box.hi(d) < hi[d]) {
        return false;
      }
    }
    return true;
  }

  private int innerFaces(int[] inside, int count, int d) {
    int found = 0;
    for (int i = 0; i < count; i++) {
      Box box = boxes.get(inside[i]);
      if (box.lo(d) > lo[d]) {
        faces[found++] = box.lo(d);
      }
      if (box.hi(d) < hi[d]) {
        faces[found++] = box.hi(d);
      }
    }
    return found;
  }

  /** Lists the boxes that reach into the part in one dimension, and returns how many they are. */
  private int select(int[] inside, int count, int[] selected, int d) {
    int found = 0;
    for (int i = 0; i < count; i++) {
      Box box = boxes.get(inside[i]);
      if (box.lo(d) < hi[d] && box.hi(d) > lo[d]) {
        selected[found++] = inside[i];
      }
    }
    return found;
  }
}
