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

  private CostModel() {}

  /** The choice for one tensor; {@code asked} may be AUTO. */
  static Chosen choose(List<Cell> cells, Strategy asked, Network network, Order order) {
    List<Strategy> candidates =
        asked == Strategy.AUTO ? List.of(Strategy.BROADCAST, Strategy.SEND_RECV) : List.of(asked);
    Chosen best = new Chosen(candidates.getFirst(), Chosen.MAX_CHUNK_BYTES);
    double least = Double.POSITIVE_INFINITY;
    for (Strategy strategy : candidates) {
      if (asked == Strategy.AUTO && strategy == Strategy.SEND_RECV && deliveries(cells) > MANY) {
        continue;
      }
      // What the other orders add is small beside what distinguishes strategies and chunks.
      Order estimate = order == Order.NAIVE ? Order.NAIVE : Order.SIZE;
      List<Route> routes = Router.route(cells, strategy, network, estimate);
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
