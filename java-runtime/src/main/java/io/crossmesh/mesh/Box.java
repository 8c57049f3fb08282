package io.crossmesh.mesh;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * A box of a tensor: a half-open range {@code [lo, hi)} in each dimension, in elements of the whole
 * tensor. Rank 0 is the one element of a scalar. Immutable; equal ranges are equal boxes.
 */
public final class Box {
  private final long[] lo;
  private final long[] hi;

  private Box(long[] lo, long[] hi) {
    this.lo = lo;
    this.hi = hi;
  }

  /**
   * The box with these bounds; the arrays are copied.
   *
   * @throws io.crossmesh.CrossmeshException LAYOUT unless {@code 0 <= lo <= hi} in every dimension
   */
  public static Box of(long[] lo, long[] hi) {
    if (lo.length != hi.length || lo.length > TensorSpec.MAX_RANK) {
      throw Checks.layout(
          "A box has %d lower and %d upper bounds; give one of each per dimension, at most %d."
              .formatted(lo.length, hi.length, TensorSpec.MAX_RANK));
    }
    for (int d = 0; d < lo.length; d++) {
      if (lo[d] < 0 || lo[d] > hi[d]) {
        throw Checks.layout(
            "A box has the range [%d, %d) in dimension %d; bounds must satisfy 0 <= lo <= hi."
                .formatted(lo[d], hi[d], d));
      }
    }
    return new Box(lo.clone(), hi.clone());
  }

  /** All of a tensor of this shape. */
  public static Box whole(List<Long> shape) {
    return of(new long[shape.size()], shape.stream().mapToLong(Long::longValue).toArray());
  }

  /** Number of dimensions. */
  public int rank() {
    return lo.length;
  }

  /** First index of dimension {@code d}. */
  public long lo(int d) {
    return lo[d];
  }

  /** Index after the last of dimension {@code d}. */
  public long hi(int d) {
    return hi[d];
  }

  /** Number of indices of dimension {@code d}. */
  public long extent(int d) {
    return hi[d] - lo[d];
  }

  /** The extents of all dimensions. */
  public List<Long> shape() {
    Long[] shape = new Long[lo.length];
    Arrays.setAll(shape, this::extent);
    return List.of(shape);
  }

  /** Number of elements; 1 for rank 0. Exact for a box inside a valid tensor. */
  public long volume() {
    long volume = 1;
    for (int d = 0; d < lo.length; d++) {
      volume *= hi[d] - lo[d];
    }
    return volume;
  }

  /** Whether the box has no element. */
  public boolean isEmpty() {
    for (int d = 0; d < lo.length; d++) {
      if (lo[d] == hi[d]) {
        return true;
      }
    }
    return false;
  }

  /** The common elements of two boxes of one rank, or nothing when there is none. */
  public Optional<Box> intersect(Box other) {
    long[] low = new long[lo.length];
    long[] high = new long[lo.length];
    for (int d = 0; d < lo.length; d++) {
      low[d] = Math.max(lo[d], other.lo[d]);
      high[d] = Math.min(hi[d], other.hi[d]);
      if (low[d] >= high[d]) {
        return Optional.empty();
      }
    }
    return Optional.of(new Box(low, high));
  }

  /** Whether every range of {@code other}, of the same rank, lies inside the range of this box. */
  public boolean contains(Box other) {
    if (other.lo.length != lo.length) {
      return false;
    }
    for (int d = 0; d < lo.length; d++) {
      if (other.lo[d] < lo[d] || other.hi[d] > hi[d]) {
        return false;
      }
    }
    return true;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Box box && Arrays.equals(lo, box.lo) && Arrays.equals(hi, box.hi);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(lo) + Arrays.hashCode(hi);
  }

  /** As in "[0:4, 2:8]"; "[]" for rank 0. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder("[");
    for (int d = 0; d < lo.length; d++) {
      text.append(d == 0 ? "" : ", ").append(lo[d]).append(':').append(hi[d]);
    }
    return text.append(']').toString();
  }
}
