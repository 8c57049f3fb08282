package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.List;

/**
 * One slice on its way: from the sender along the route to the receivers. Chunk {@code k} is the
 * byte range {@code [k * chunkBytes, min(bytes, (k + 1) * chunkBytes))} of the box packed
 * row-major.
 *
 * @param tensor index of the tensor in the request
 * @param box the slice, in elements of the whole tensor; never empty
 * @param bytes size of the slice
 * @param chunkBytes size of a chunk, a multiple of the element size; at most {@code bytes}
 * @param start predicted time of the first byte, in seconds
 * @param end predicted time when the last receiver has the last byte, in seconds
 * @param sender device of the source mesh: the first of its host that holds the slice
 * @param receivers devices of the destination mesh that get the slice, ascending
 * @param route hosts in forwarding order; a route of one host is a local copy. The first is the
 *     sender's, or one that forwards the slice when an earlier move has brought it ({@link
 *     Forwarding})
 */
public record Move(
    int tensor,
    Box box,
    long bytes,
    long chunkBytes,
    double start,
    double end,
    int sender,
    List<Integer> receivers,
    List<String> route) {
  public Move {
    receivers = List.copyOf(receivers);
    route = List.copyOf(route);
  }

  /** Whether the slice stays on its host. */
  public boolean local() {
    return route.size() == 1;
  }

  /** Number of chunks, at least 1. */
  public long chunks() {
    return Math.ceilDiv(bytes, chunkBytes);
  }

  /** The same move at other times, in seconds. */
  public Move at(double newStart, double newEnd) {
    return new Move(tensor, box, bytes, chunkBytes, newStart, newEnd, sender, receivers, route);
  }
}
