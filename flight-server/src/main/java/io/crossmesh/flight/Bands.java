package io.crossmesh.flight;

import io.crossmesh.mesh.Box;
import java.util.Iterator;
import java.util.NoSuchElementException;

/**
 * Cuts a box into bands: sub-boxes in row-major order whose packed bytes, one after the other, are
 * the packed bytes of the box. So a slice of any size streams through a buffer of one band.
 *
 * <p>A band is full in the inner dimensions, a range in one dimension, and one index in the outer
 * ones.
 */
final class Bands implements Iterable<Box> {
  private final Box box;
  private final int dimension;
  private final long rows;

  private Bands(Box box, int dimension, long rows) {
    this.box = box;
    this.dimension = dimension;
    this.rows = rows;
  }

  /**
   * @param bytesMax the most bytes of a band, unless one element is larger
   */
  static Bands of(Box box, int elementBytes, long bytesMax) {
    long inner = elementBytes;
    int dimension = box.rank() - 1;
    while (dimension > 0 && inner * box.extent(dimension) <= bytesMax) {
      inner *= box.extent(dimension);
      dimension--;
    }
    return new Bands(box, dimension, Math.max(1, bytesMax / Math.max(1, inner)));
  }

  @Override
  public Iterator<Box> iterator() {
    return new Cursor();
  }

  private final class Cursor implements Iterator<Box> {
    private final long[] next = new long[box.rank()];
    private boolean more = !box.isEmpty();

    Cursor() {
      for (int d = 0; d < next.length; d++) {
        next[d] = box.lo(d);
      }
    }

    @Override
    public boolean hasNext() {
      return more;
    }

    @Override
    public Box next() {
      if (!more) {
        throw new NoSuchElementException();
      }
      long[] lo = next.clone();
      long[] hi = new long[lo.length];
      for (int d = 0; d < lo.length; d++) {
        hi[d] = d < dimension ? lo[d] + 1 : box.hi(d);
      }
      if (dimension >= 0) {
        hi[dimension] = Math.min(box.hi(dimension), lo[dimension] + rows);
      }
      advance(hi);
      return Box.of(lo, hi);
    }

    private void advance(long[] hi) {
      if (dimension < 0) {
        more = false;
        return;
      }
      next[dimension] = hi[dimension];
      for (int d = dimension; next[d] >= box.hi(d); d--) {
        if (d == 0) {
          more = false;
          return;
        }
        next[d] = box.lo(d);
        next[d - 1]++;
      }
    }
  }
}
