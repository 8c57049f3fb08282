package io.crossmesh.plan;

import java.util.List;

/**
 * What one chain has to bring: a slice, and the devices that get it on hosts that lack it.
 *
 * @param cell the slice
 * @param receivers devices of the destination mesh, ascending
 * @param hosts their hosts, in order of first device
 */
record Delivery(Cell cell, List<Integer> receivers, List<Integer> hosts) {
  /** What one message to a device of a receiving host brings. */
  static Delivery toDevice(Cell cell, int position, int device) {
    return new Delivery(cell, List.of(device), List.of(cell.receivers().hosts().get(position)));
  }

  /** What one chain through receiving hosts brings; lists are shared where they can be. */
  static Delivery toHosts(Cell cell, List<Integer> positions) {
    Group group = cell.receivers();
    if (positions.size() == group.hosts().size()) {
      return new Delivery(cell, group.devices(), group.hosts());
    }
    List<Integer> hosts = positions.stream().map(group.hosts()::get).toList();
    if (positions.size() == 1) {
      return new Delivery(cell, group.byHost().get(positions.getFirst()), hosts);
    }
    List<Integer> devices =
        positions.stream().flatMap(i -> group.byHost().get(i).stream()).sorted().toList();
    return new Delivery(cell, devices, hosts);
  }
}
