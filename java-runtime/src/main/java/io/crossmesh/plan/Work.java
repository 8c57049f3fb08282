package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.List;

/**
 * What a plan has to do, before anything is decided.
 *
 * @param copies what stays on its host
 * @param deliveries what crosses NICs, in natural order
 */
record Work(List<Route> copies, List<Delivery> deliveries) {
  static Work of(List<Cell> cells, List<Chosen> chosen, Network network) {
    Held held = new Held(network);
    List<Route> copies = new ArrayList<>();
    List<Delivery> deliveries = new ArrayList<>();
    int moves = 0;
    for (Cell cell : cells) {
      Strategy strategy = chosen.get(cell.task().tensor()).strategy();
      held.turnTo(cell);
      copies.addAll(Router.copies(cell, strategy, held));
      for (Delivery delivery : Router.deliveries(cell, strategy, held, network)) {
        deliveries.add(delivery);
        moves += delivery.ring() > 0 ? delivery.hosts().size() : 1;
      }
      Router.checkCount(copies.size() + moves);
    }
    return new Work(copies, deliveries);
  }
}
