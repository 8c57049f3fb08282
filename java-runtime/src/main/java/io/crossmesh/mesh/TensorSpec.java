package io.crossmesh.mesh;

import java.util.List;

/**
 * What is moved: one tensor of a tree.
 *
 * @param key path of the tensor in its tree; "" when there is only one
 * @param shape extents in elements, rank 0 to {@value #MAX_RANK}; an extent may be 0
 * @param dtype element type
 */
public record TensorSpec(String key, List<Long> shape, DType dtype) {
  /** Most dimensions of a tensor. */
  public static final int MAX_RANK = 8;

  public TensorSpec {
    shape = List.copyOf(shape);
    Checks.name("The tensor key", key);
    if (shape.size() > MAX_RANK) {
      throw Checks.layout(
          "%s has %d dimensions; reshape it to at most %d."
              .formatted(title(key, shape), shape.size(), MAX_RANK));
    }
    // The product of the extents that are not 0 must fit too, so that no partial product overflows.
    long bytes = dtype.bytes();
    for (long extent : shape) {
      if (extent < 0) {
        throw Checks.layout(
            "%s has the extent %d; extents are 0 or more.".formatted(title(key, shape), extent));
      }
      long factor = Math.max(extent, 1);
      if (bytes > Long.MAX_VALUE / factor) {
        throw Checks.layout(
            "%s of dtype %s has more than 2^63 bytes; split it into smaller tensors."
                .formatted(title(key, shape), dtype));
      }
      bytes *= factor;
    }
  }

  private static String title(String key, List<Long> shape) {
    return "Tensor '%s' of shape %s".formatted(key, shape);
  }

  /** Number of dimensions. */
  public int rank() {
    return shape.size();
  }

  /** Size of the whole tensor in bytes. */
  public long bytes() {
    return Box.whole(shape).volume() * dtype.bytes();
  }

  /** As in "Tensor 'w' of shape [8, 16] and dtype float32". */
  @Override
  public String toString() {
    return title(key, shape) + " and dtype " + dtype;
  }
}
