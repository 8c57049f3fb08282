package io.crossmesh.mesh;

import java.util.Arrays;
import java.util.List;

/**
 * How a tensor lies on a mesh: for each tensor dimension the mesh axes that divide it, major axis
 * first. A dimension of n elements over p devices (the product of its axes' lengths) is cut into
 * blocks of ceil(n / p), as GSPMD and torch.chunk cut; the last blocks may be short or empty. Mesh
 * axes that no dimension names hold replicas.
 *
 * @param mesh the devices
 * @param spec per tensor dimension the mesh axes in the order written; empty = replicated
 */
public record Sharding(Mesh mesh, List<List<Integer>> spec) {
  public Sharding {
    spec = spec.stream().map(List::copyOf).toList();
    if (spec.size() > TensorSpec.MAX_RANK) {
      throw Checks.layout(
          "The layout '%s' has %d dimensions; tensors have at most %d."
              .formatted(Notation.write(spec), spec.size(), TensorSpec.MAX_RANK));
    }
    boolean[] used = new boolean[mesh.rank()];
    for (List<Integer> axes : spec) {
      for (int axis : axes) {
        if (axis < 0 || axis >= mesh.rank()) {
          throw Checks.layout(
              "The layout '%s' names mesh axis %d, but the %s has %d axes (0 to %d); use one of those."
                  .formatted(Notation.write(spec), axis, mesh, mesh.rank(), mesh.rank() - 1));
        }
        if (used[axis]) {
          throw Checks.layout(
              "The layout '%s' on the %s uses mesh axis %d twice; an axis can divide one dimension only."
                  .formatted(Notation.write(spec), mesh, axis));
        }
        used[axis] = true;
      }
    }
  }

  /**
   * The layout that a notation writes: one item per tensor dimension, R for replicated or S and the
   * digits of its mesh axes, major first ("S0 R S1", "S01", "S10"). Spaces are optional; "" is a
   * scalar's.
   *
   * @throws io.crossmesh.CrossmeshException LAYOUT when it cannot be read or does not fit the mesh
   */
  public static Sharding parse(Mesh mesh, String notation) {
    return new Sharding(mesh, Notation.parse(notation));
  }

  /** Number of tensor dimensions. */
  public int rank() {
    return spec.size();
  }

  /** Into how many blocks dimension {@code d} is cut. */
  public int parts(int d) {
    int parts = 1;
    for (int axis : spec.get(d)) {
      parts *= mesh.shape().get(axis);
    }
    return parts;
  }

  /** Which block of each dimension the device at a row-major position holds. */
  public int[] blocks(int device) {
    int[] position = new int[mesh.rank()];
    int rest = device;
    for (int axis = mesh.rank() - 1; axis >= 0; axis--) {
      int length = mesh.shape().get(axis);
      position[axis] = rest % length;
      rest /= length;
    }
    int[] blocks = new int[spec.size()];
    for (int d = 0; d < blocks.length; d++) {
      for (int axis : spec.get(d)) {
        blocks[d] = blocks[d] * mesh.shape().get(axis) + position[axis];
      }
    }
    return blocks;
  }

  /** The box of a tensor of this shape that the device holds; it may be empty. */
  public Box tile(List<Long> shape, int device) {
    if (shape.size() != spec.size()) {
      throw Checks.layout(
          "A tensor of shape %s has %d dimensions but the layout %s has %d; give one item per dimension."
              .formatted(shape, shape.size(), describe(), spec.size()));
    }
    return tile(shape, blocks(device));
  }

  /** The box of a tensor of this shape at a block of each dimension. */
  public Box tile(List<Long> shape, int[] blocks) {
    long[] lo = new long[blocks.length];
    long[] hi = new long[blocks.length];
    Arrays.setAll(lo, d -> cut(shape.get(d), parts(d), blocks[d]));
    Arrays.setAll(hi, d -> cut(shape.get(d), parts(d), blocks[d] + 1));
    return Box.of(lo, hi);
  }

  /** Where block {@code block} of {@code parts} begins in a dimension of {@code n} elements. */
  public static long cut(long n, int parts, int block) {
    long size = Math.ceilDiv(n, (long) parts);
    // size * block may pass 2^63 for a huge n; the product is only needed below n.
    return size != 0 && block > n / size ? n : Math.min(n, size * block);
  }

  /** As in "'S0 R S1' on the 2x4 mesh of hosts a, b". */
  public String describe() {
    return "'" + this + "' on the " + mesh;
  }

  /** The notation that {@link #parse} reads. */
  @Override
  public String toString() {
    return Notation.write(spec);
  }
}
