package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.ArrayList;
import java.util.Collections;
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
 * @param hosts their hosts, in order of first device; of a piece of a ring, in the ring's order
 *     from the host that gets the piece from its sender
 * @param ring of a piece that hosts send round a ring whole, the number of pieces of the slice; 0
 *     where hosts forward chunk by chunk
 */
record Delivery(
    Cell cell,
    Box box,
    long bytes,
    int part,
    List<Integer> receivers,
    List<Integer> hosts,
    int ring) {
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
    return new Delivery(cell, cell.task().box(), cell.bytes(), 0, receivers, hosts, 0);
  }

  /**
   * The same to one host, in about as many pieces as devices there get it. They share the tile that
   * the pieces land in, so that gathering them inside the host is free.
   */
  List<Delivery> localPieces() {
    return pieces(receivers.size(), 0);
  }

  /**
   * The same in about as many pieces as hosts get it, each first to another of them and from there
   * round a ring. Hosts behind a shared limit are neighbours on the ring.
   */
  List<Delivery> ringPieces(Network network) {
    if (hosts.size() == 1) {
      return List.of(this);
    }
    List<Integer> order = network.chain(hosts);
    List<Delivery> whole = pieces(hosts.size(), 1);
    List<Delivery> pieces = new ArrayList<>();
    for (Delivery piece : whole) {
      List<Integer> from = new ArrayList<>(order);
      Collections.rotate(from, -pieces.size());
      pieces.add(
          new Delivery(
              cell, piece.box, piece.bytes, 0, receivers, List.copyOf(from), whole.size()));
    }
    return pieces;
  }

  private List<Delivery> pieces(long count, int inRing) {
    long element = bytes / box.volume();
    return Pieces.cut(box, count).stream()
        .map(b -> new Delivery(cell, b, b.volume() * element, 0, receivers, hosts, inRing))
        .toList();
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
      parts.add(
          new Delivery(cell, each, each.volume() * element, parts.size(), receivers, hosts, 0));
    }
    return parts;
  }
}
