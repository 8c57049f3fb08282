package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.List;

/**
 * A part of a delivery with a sender, before it has a route.
 *
 * @param delivery what it is a part of
 * @param box the part, in elements of the whole tensor
 * @param bytes its size
 * @param holder position of the sending host among the holders of the slice
 */
record Piece(Delivery delivery, Box box, long bytes, int holder) {
  /** All of a delivery. */
  static Piece whole(Delivery delivery, int holder) {
    return new Piece(delivery, delivery.box(), delivery.bytes(), holder);
  }

  /** The host that sends it. */
  int from() {
    return delivery.cell().holders().hosts().get(holder);
  }

  /** Its route when the receiving host at a position is the first on the chain. */
  Route route(int first) {
    List<Integer> to = delivery.hosts();
    Integer[] hosts = new Integer[to.size() + 1];
    hosts[0] = from();
    for (int i = 0; i < to.size(); i++) {
      hosts[i + 1] = to.get((first + i) % to.size());
    }
    int sender = delivery.cell().holders().first(holder);
    return new Route(delivery.cell(), box, bytes, sender, delivery.receivers(), List.of(hosts));
  }
}
