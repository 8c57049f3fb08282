package io.crossmesh.plan;

import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;

/**
 * One tensor, the layout it lies in and the layout it is needed in.
 *
 * @param tensor what is moved
 * @param src where it lies
 * @param dst where it is needed; its mesh may share devices with the mesh of {@code src}
 */
public record TensorReshard(TensorSpec tensor, Sharding src, Sharding dst) {
  public TensorReshard {
    if (src.rank() != tensor.rank() || dst.rank() != tensor.rank()) {
      throw PlanChecks.layout(
          ("%s has %d dimensions, but its source layout is %s (%d) and its destination layout is %s"
                  + " (%d); give one item per dimension in both.")
              .formatted(
                  tensor, tensor.rank(), src.describe(), src.rank(), dst.describe(), dst.rank()));
    }
  }

  /** As in "Tensor 'w' of shape [8] and dtype int32, from 'S0' on the ... to 'R' on the ...". */
  public String describe() {
    return tensor + ", from " + src.describe() + " to " + dst.describe();
  }
}
