package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/**
 * {@link Order#GREEDY}, a baseline of the paper: round after round, the slices left are shuffled
 * and each that shares no NIC with one already taken is taken, from a random holder. The best of a
 * fixed number of trials counts; seeds are constants, so the plan is always the same.
 */
final class GreedyOrder {
  /** Independent trials. */
  static final int TRIALS = 16;

  /** More slices than this are left to the order size. */
  static final int MAX_DELIVERIES = 4096;

  private GreedyOrder() {}

  /** The slices with their senders, in the order in which they start. */
  static List<Piece> order(List<Delivery> deliveries, Network network) {
    List<Piece> best = List.of();
    double least = Double.POSITIVE_INFINITY;
    for (int trial = 0; trial < TRIALS; trial++) {
      List<Piece> order = rounds(deliveries, network, new Random(trial));
      Occupancy occupancy = new Occupancy(network);
      for (Piece piece : order) {
        Delivery delivery = piece.delivery();
        double start = occupancy.start(delivery, piece.from());
        double until = start + occupancy.seconds(delivery, piece.from());
        occupancy.occupy(delivery, piece.from(), until);
      }
      if (occupancy.end() < least) {
        least = occupancy.end();
        best = order;
      }
    }
    return best;
  }

  private static List<Piece> rounds(List<Delivery> deliveries, Network network, Random random) {
    List<Piece> order = new ArrayList<>(deliveries.size());
    List<Delivery> left = new ArrayList<>(deliveries);
    while (!left.isEmpty()) {
      Collections.shuffle(left, random);
      boolean[] sends = new boolean[network.size()];
      boolean[] receives = new boolean[network.size()];
      List<Delivery> later = new ArrayList<>();
      for (Delivery delivery : left) {
        int holder = freeHolder(delivery, sends, random);
        if (holder < 0 || delivery.hosts().stream().anyMatch(host -> receives[host])) {
          later.add(delivery);
          continue;
        }
        Piece piece = Piece.whole(delivery, holder);
        sends[piece.from()] = true;
        delivery.hosts().forEach(host -> receives[host] = true);
        order.add(piece);
      }
      left = later;
    }
    return order;
  }

  /** Position of a random holder that does not send in this round, or -1. */
  private static int freeHolder(Delivery delivery, boolean[] sends, Random random) {
    List<Integer> hosts = delivery.cell().holders().hosts();
    int first = random.nextInt(hosts.size());
    for (int i = 0; i < hosts.size(); i++) {
      int position = (first + i) % hosts.size();
      if (!sends[hosts.get(position)]) {
        return position;
      }
    }
    return -1;
  }
}
