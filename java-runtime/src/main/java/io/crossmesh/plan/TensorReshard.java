package io.crossmesh.plan;

import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import java.util.OptionalDouble;

/**
 * One tensor, the layout it lies in and the layout it is needed in.
 *
 * @param tensor what is moved
 * @param src where it lies
 * @param dst where it is needed; its mesh may share devices with the mesh of {@code src}
 * @param deadline when its consumer needs it, in seconds from the start of the plan; finite and not
 *     negative. Without one, it is as urgent as the end of the plan
 */
public record TensorReshard(
    TensorSpec tensor, Sharding src, Sharding dst, OptionalDouble deadline) {
  public TensorReshard {
    if (deadline.isPresent()) {
      double seconds = deadline.getAsDouble();
      if (!(seconds >= 0 && seconds < Double.POSITIVE_INFINITY)) {
        throw PlanChecks.layout(
            "%s: a deadline is a finite number of seconds, 0 or more, got %s; leave it out where nothing waits."
                .formatted(tensor, seconds));
      }
      // A negative zero would have another digest.
      deadline = OptionalDouble.of(seconds + 0.0);
    }
    if (src.rank() != tensor.rank() || dst.rank() != tensor.rank()) {
      throw PlanChecks.layout(
          ("%s has %d dimensions, but its source layout is %s (%d) and its destination layout is %s"
                  + " (%d); give one item per dimension in both.")
              .formatted(
                  tensor, tensor.rank(), src.describe(), src.rank(), dst.describe(), dst.rank()));
    }
  }

  /** A tensor that nothing waits for in particular. */
  public TensorReshard(TensorSpec tensor, Sharding src, Sharding dst) {
    this(tensor, src, dst, OptionalDouble.empty());
  }

  /** The same tensor, needed at a time in seconds. */
  public TensorReshard by(double seconds) {
    return new TensorReshard(tensor, src, dst, OptionalDouble.of(seconds));
  }

  /** Seconds; infinity without a deadline. */
  double due() {
    return deadline.orElse(Double.POSITIVE_INFINITY);
  }

  /** As in "Tensor 'w' of shape [8] and dtype int32, from 'S0' on the ... to 'R' on the ...". */
  public String describe() {
    return tensor + ", from " + src.describe() + " to " + dst.describe();
  }
}
