package io.crossmesh.transfer.sim;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The content of tensors: each byte is a function of tensor, element, step and place in the
 * element, so that any byte out of place, of another step or never written is seen.
 */
final class Pattern {
  private Pattern() {}

  static void fill(MemorySegment tile, TensorSpec tensor, int index, Box box, long step) {
    visit(tensor, index, box, step, (at, value) -> tile.set(ValueLayout.JAVA_BYTE, at, value));
  }

  /** Fails unless the tile holds exactly what {@link #fill} writes. */
  static void check(
      MemorySegment tile, TensorSpec tensor, int index, Box box, long step, String where) {
    visit(
        tensor,
        index,
        box,
        step,
        (at, value) -> {
          byte found = tile.get(ValueLayout.JAVA_BYTE, at);
          if (found != value) {
            throw new AssertionError(
                "%s: tensor %d, box %s, step %d: byte %d is %d, not %d"
                    .formatted(where, index, box, step, at, found, value));
          }
        });
  }

  private interface Visitor {
    void at(long offset, byte value);
  }

  private static void visit(TensorSpec tensor, int index, Box box, long step, Visitor visitor) {
    int rank = box.rank();
    int bytes = tensor.dtype().bytes();
    long volume = box.volume();
    long[] position = new long[rank];
    for (long element = 0; element < volume; element++) {
      long flat = 0;
      for (int d = 0; d < rank; d++) {
        flat = flat * tensor.shape().get(d) + box.lo(d) + position[d];
      }
      long seed = (flat * 31 + step) * 1_000_003L + index;
      for (int b = 0; b < bytes; b++) {
        long mixed = (seed + b) * 0x9E3779B97F4A7C15L;
        visitor.at(element * bytes + b, (byte) (mixed >>> 56));
      }
      for (int d = rank - 1; d >= 0 && ++position[d] == box.extent(d); d--) {
        position[d] = 0;
      }
    }
  }
}
