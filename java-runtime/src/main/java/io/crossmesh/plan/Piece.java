package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * A part of a delivery with a sender, before it has a route.
 *
 * @param delivery what it is a part of
 * @param box the part, in elements of the whole tensor
 * @param bytes its size
 * @param holder position of the sending host among the holders of the slice
 * @param urgency the class of its deadline, 0 for what is needed first or where deadlines do not
 *     count
 */
record Piece(Delivery delivery, Box box, long bytes, int holder, int urgency) {
  /** All of a delivery. */
  static Piece whole(Delivery delivery, int holder) {
    return new Piece(delivery, delivery.box(), delivery.bytes(), holder, 0);
  }

  /** The host that sends it. */
  int from() {
    return delivery.cell().holders().hosts().get(holder);
  }

  /**
   * Its route when the receiving host at a position is the first on the chain. The others follow in
   * turn; but hosts behind a shared limit follow each other, so that it is passed once.
   */
  Route route(int first, Network network) {
    if (delivery.hosts().size() == 1) {
      return route(network.hop(from(), delivery.hosts().getFirst()));
    }
    List<Integer> left = new ArrayList<>(delivery.hosts());
    Collections.rotate(left, -first);
    List<Integer> hosts = new ArrayList<>(left.size() + 1);
    hosts.add(from());
    hosts.addAll(network.chain(left));
    return route(List.copyOf(hosts));
  }

  /** Its route along these hosts, its sender's first. */
  Route route(List<Integer> hosts) {
    int sender = delivery.cell().holders().first(holder);
    return new Route(delivery.cell(), box, bytes, sender, delivery.receivers(), hosts, null);
  }

  /** The routes of a piece of a ring, one to each host; each begins where the one before ends. */
  List<Route> ring() {
    int sender = delivery.cell().holders().first(holder);
    List<Route> hops = new ArrayList<>();
    int last = from();
    Route after = null;
    for (int host : delivery.hosts()) {
      List<Integer> receivers = delivery.cell().receivers().on(host);
      List<Integer> ends = List.of(last, host);
      after = new Route(delivery.cell(), box, bytes, sender, receivers, ends, after);
      hops.add(after);
      last = host;
    }
    return hops;
  }
}
