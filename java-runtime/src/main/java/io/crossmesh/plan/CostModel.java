package io.crossmesh.plan;

import java.util.List;

/**
 * Chooses strategy and chunk size of a tensor. The time of a tensor alone on the network is taken
 * as that of its busiest NIC, plus, for its slowest move of K chunks over n hops, the latency of
 * each chunk and the time to fill the chain: {@code K * latency + (n - 1) * (latency + chunk /
 * bandwidth)}, one more of the latter where slices take turns. Small chunks fill a chain fast,
 * large ones save latency.
 */
final class CostModel {
  /** AUTO does not consider one message per device beyond this many messages for a tensor. */
  private static final long MANY = 1 << 16;

  /**
   * What AUTO chooses from. One message to each device is sooner than a chain where latency counts
   * more than bytes, or relays are slow; only there may one piece for each device be sooner still.
   * Where no slice needs a chain, one message to each host is the cheapest there is. A slice
   * divided among its holders is the order's affair, and one that goes round a ring passes as many
   * hosts as in a chain, but waits at each.
   */
  private static final List<Strategy> CHEAPEST =
      List.of(Strategy.BROADCAST, Strategy.SEND_RECV, Strategy.LOCAL_ALL_GATHER);

  private CostModel() {}

  /** The choice for one tensor; {@code asked} may be AUTO. */
  static Chosen choose(List<Cell> cells, Strategy asked, Network network, Order order) {
    List<Strategy> candidates = asked == Strategy.AUTO ? CHEAPEST : List.of(asked);
    Chosen best = new Chosen(candidates.getFirst(), Chosen.MAX_CHUNK_BYTES);
    double least = Double.POSITIVE_INFINITY;
    boolean chains = false;
    for (Strategy strategy : candidates) {
      if (strategy != candidates.getFirst() && (!chains || deliveries(cells) > MANY)) {
        break;
      }
      if (strategy == Strategy.LOCAL_ALL_GATHER && best.strategy() == Strategy.BROADCAST) {
        break;
      }
      // What the other orders add is small beside what distinguishes strategies and chunks.
      Order estimate = order == Order.NAIVE ? Order.NAIVE : Order.SIZE;
      List<Route> routes = Router.route(cells, strategy, network, estimate);
      chains |= routes.stream().anyMatch(route -> route.hops() > 1);
      double busiest = busiest(routes, network);
      for (long chunk = Chosen.MAX_CHUNK_BYTES; chunk >= Chosen.MIN_CHUNK_BYTES; chunk /= 2) {
        double seconds = busiest + slowest(routes, chunk, network, order);
        if (seconds < least) {
          least = seconds;
          best = new Chosen(strategy, chunk);
        }
      }
    }
    return best;
  }

  private static long deliveries(List<Cell> cells) {
    return cells.stream().mapToLong(cell -> cell.receivers().devices().size()).sum();
  }

  /** Seconds of the NIC direction with the most to do. */
  private static double busiest(List<Route> routes, Network network) {
    double[] sent = new double[network.size()];
    double[] received = new double[network.size()];
    double most = 0;
    for (Route route : routes) {
      for (int i = 0; i < route.hops(); i++) {
        int from = route.hosts().get(i);
        int to = route.hosts().get(i + 1);
        sent[from] += route.bytes() / network.bandwidth(from);
        received[to] += route.bytes() / network.bandwidth(to);
        most = Math.max(most, Math.max(sent[from], received[to]));
      }
    }
    return most;
  }

  /** Seconds that the slowest move adds to its bytes over its bandwidth. */
  private static double slowest(
      List<Route> routes, long tensorChunk, Network network, Order order) {
    double most = 0;
    for (Route route : routes) {
      if (route.hops() == 0) {
        continue;
      }
      double latency = 0;
      double bandwidth = Double.POSITIVE_INFINITY;
      for (int host : route.hosts()) {
        latency = Math.max(latency, network.latency(host));
        bandwidth = Math.min(bandwidth, network.bandwidth(host));
      }
      long chunk = Math.min(tensorChunk, route.bytes());
      long chunks = Math.ceilDiv(route.bytes(), chunk);
      // Slices that take turns by the chunk may each miss their turn once.
      int fills = order == Order.OPTIMAL ? route.hops() : route.hops() - 1;
      double fill = fills * (latency + chunk / bandwidth);
      most = Math.max(most, chunks * latency + fill);
    }
    return most;
  }
}
