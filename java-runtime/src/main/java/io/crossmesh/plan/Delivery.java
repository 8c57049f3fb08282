package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.ArrayList;
import java.util.List;

/**
 * What one chain has to bring: a slice or a part of one, and the devices that get it on hosts that
 * lack it.
 *
 * @param cell the slice
 * @param box what of it, in elements of the whole tensor
 * @param bytes size of that
 * @param part number of the part, 0 for all of the slice
 * @param receivers devices of the destination mesh, ascending
 * @param hosts their hosts, in order of first device
 */
record Delivery(
    Cell cell, Box box, long bytes, int part, List<Integer> receivers, List<Integer> hosts) {
  /** What one message to a device of a receiving host brings. */
  static Delivery toDevice(Cell cell, int position, int device) {
    return whole(cell, List.of(device), List.of(cell.receivers().hosts().get(position)));
  }

  /** What one chain through receiving hosts brings; lists are shared where they can be. */
  static Delivery toHosts(Cell cell, List<Integer> positions) {
    Group group = cell.receivers();
    if (positions.size() == group.hosts().size()) {
      return whole(cell, group.devices(), group.hosts());
    }
    List<Integer> hosts = positions.stream().map(group.hosts()::get).toList();
    if (positions.size() == 1) {
      return whole(cell, group.byHost().get(positions.getFirst()), hosts);
    }
    List<Integer> devices =
        positions.stream().flatMap(i -> group.byHost().get(i).stream()).sorted().toList();
    return whole(cell, devices, hosts);
  }

  private static Delivery whole(Cell cell, List<Integer> receivers, List<Integer> hosts) {
    return new Delivery(cell, cell.task().box(), cell.bytes(), 0, receivers, hosts);
  }

  /**
   * The same in parts, one for each host that holds the slice, as far as none is smaller than the
   * smallest chunk.
   */
  List<Delivery> split() {
    long most = bytes / Chosen.MIN_CHUNK_BYTES;
    long count = Math.min(cell.holders().hosts().size(), most);
    long element = bytes / box.volume();
    List<Delivery> parts = new ArrayList<>();
    for (Box each : Pieces.cut(box, count)) {
      parts.add(new Delivery(cell, each, each.volume() * element, parts.size(), receivers, hosts));
    }
    return parts;
  }
}
