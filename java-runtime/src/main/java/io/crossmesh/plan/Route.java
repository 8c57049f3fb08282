package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A move before its chunk size and times are known.
 *
 * @param cell the slice
 * @param box what of the slice moves
 * @param bytes its size
 * @param sender device of the source mesh
 * @param receivers devices of the destination mesh, ascending
 * @param hosts numbers of the hosts in forwarding order
 * @param after the route that brings all of the box to the first of the hosts, which then forwards
 *     it; null when the first host is the sender's
 */
record Route(
    Cell cell,
    Box box,
    long bytes,
    int sender,
    List<Integer> receivers,
    List<Integer> hosts,
    @Nullable Route after) {
  /** A route of a whole slice. */
  Route(Cell cell, int sender, List<Integer> receivers, List<Integer> hosts) {
    this(cell, cell.task().box(), cell.bytes(), sender, receivers, hosts, null);
  }

  int hops() {
    return hosts.size() - 1;
  }

  /** The move from one time to another, in seconds, by the names of its hosts. */
  Move toMove(long chunkBytes, double start, double end, List<String> names) {
    int tensor = cell.task().tensor();
    return new Move(tensor, box, bytes, chunkBytes, start, end, sender, receivers, names);
  }

  /**
   * Size of its chunks. Whole slices have chunks of the tensor's size; pieces of that size or more,
   * equal chunks.
   */
  long chunkBytes(List<Chosen> chosen) {
    long tensorChunkBytes = chosen.get(cell.task().tensor()).chunkBytes();
    if (bytes == cell.bytes()) {
      return Math.min(tensorChunkBytes, bytes);
    }
    long element = bytes / box.volume();
    long count = Math.max(1, bytes / tensorChunkBytes);
    count = Math.max(count, Math.ceilDiv(bytes, Chosen.MAX_CHUNK_BYTES));
    return Math.ceilDiv(Math.ceilDiv(bytes, count), element) * element;
  }
}
