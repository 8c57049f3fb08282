package io.crossmesh.plan;

import java.util.List;

/**
 * A move before its chunk size and times are known.
 *
 * @param cell the slice
 * @param sender device of the source mesh
 * @param receivers devices of the destination mesh, ascending
 * @param hosts numbers of the hosts in forwarding order
 */
record Route(Cell cell, int sender, List<Integer> receivers, List<Integer> hosts) {
  int hops() {
    return hosts.size() - 1;
  }

  Move toMove(long tensorChunkBytes, Network network) {
    long chunk = Math.min(tensorChunkBytes, cell.bytes());
    List<String> names = hosts.stream().map(network::name).toList();
    UnitTask task = cell.task();
    return new Move(task.tensor(), task.box(), cell.bytes(), chunk, 0, 0, sender, receivers, names);
  }
}
