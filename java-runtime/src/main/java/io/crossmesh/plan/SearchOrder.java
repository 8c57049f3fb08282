package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * {@link Order#SEARCH}, a baseline of the paper: depth first over which slice goes next and who
 * sends it, soonest start first. A branch is left when what it has placed, or what some host has
 * still to receive after that, cannot end before the best order known: a bound that never exceeds
 * the true end. It stops after a constant number of nodes, so the plan depends on no clock.
 */
final class SearchOrder {
  /** Nodes after which the best order so far is taken. */
  static final int MAX_NODES = 20_000;

  /** More slices than this are left to the order size. */
  static final int MAX_DELIVERIES = 256;

  private final List<Delivery> deliveries;
  private final Network network;
  private final boolean[] placed;

  /** Seconds that each host has still to receive of what is not placed. */
  private final double[] needed;

  private final List<Piece> order = new ArrayList<>();
  private List<Piece> best = List.of();
  private double least = Double.POSITIVE_INFINITY;
  private int nodes;

  private SearchOrder(List<Delivery> deliveries, Network network) {
    this.deliveries = deliveries;
    this.network = network;
    placed = new boolean[deliveries.size()];
    needed = new double[network.size()];
    deliveries.forEach(delivery -> need(delivery, 1));
  }

  /** The slices with their senders, in the order in which they start. */
  static List<Piece> order(List<Delivery> deliveries, Network network) {
    SearchOrder search = new SearchOrder(deliveries, network);
    search.visit(new Occupancy(network));
    return search.best;
  }

  private void need(Delivery delivery, int sign) {
    for (int host : delivery.hosts()) {
      needed[host] += sign * delivery.bytes() / network.bandwidth(host);
    }
  }

  private record Child(int number, int holder, double start, double until) {}

  private void visit(Occupancy occupancy) {
    if (order.size() == deliveries.size()) {
      if (occupancy.end() < least) {
        least = occupancy.end();
        best = List.copyOf(order);
      }
      return;
    }
    for (Child child : children(occupancy)) {
      // The first order found is taken whole, whatever it costs.
      if (nodes >= MAX_NODES && !best.isEmpty()) {
        return;
      }
      nodes++;
      Delivery delivery = deliveries.get(child.number);
      Piece piece = Piece.whole(delivery, child.holder);
      Occupancy next = occupancy.copy();
      next.occupy(delivery, piece.from(), child.until);
      need(delivery, -1);
      if (bound(next) < least) {
        placed[child.number] = true;
        order.add(piece);
        visit(next);
        order.removeLast();
        placed[child.number] = false;
      }
      need(delivery, 1);
    }
  }

  private double bound(Occupancy occupancy) {
    double bound = occupancy.end();
    for (int host = 0; host < needed.length; host++) {
      bound = Math.max(bound, occupancy.receives(host) + needed[host]);
    }
    return bound;
  }

  /** The slices that may go next; of slices alike in bytes, holders and receivers only one. */
  private List<Child> children(Occupancy occupancy) {
    record Kind(long bytes, List<Integer> holders, List<Integer> receivers) {}
    Set<Kind> seen = new HashSet<>();
    List<Child> children = new ArrayList<>();
    for (int i = 0; i < placed.length; i++) {
      Delivery delivery = deliveries.get(i);
      List<Integer> holders = delivery.cell().holders().hosts();
      if (placed[i] || !seen.add(new Kind(delivery.bytes(), holders, delivery.hosts()))) {
        continue;
      }
      for (int holder = 0; holder < holders.size(); holder++) {
        int from = holders.get(holder);
        double start = occupancy.start(delivery, from);
        children.add(new Child(i, holder, start, start + occupancy.seconds(delivery, from)));
      }
    }
    children.sort(
        Comparator.comparingDouble(Child::start)
            .thenComparingDouble(child -> child.start - child.until)
            .thenComparingInt(Child::number)
            .thenComparingInt(Child::holder));
    return children;
  }
}
