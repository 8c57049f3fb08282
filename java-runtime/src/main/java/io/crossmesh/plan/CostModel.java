package io.crossmesh.plan;

import java.util.ArrayList;
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
  private static final List<Strategy> CONSIDERED =
      List.of(Strategy.BROADCAST, Strategy.SEND_RECV, Strategy.LOCAL_ALL_GATHER);

  private CostModel() {}

  /**
   * A strategy at its best chunk size.
   *
   * @param seconds predicted for the tensor alone on the network
   * @param chains whether some slice passes more than one host
   */
  record Candidate(Strategy strategy, long chunkBytes, double seconds, boolean chains) {}

  /** The choice for one tensor; {@code asked} may be AUTO. */
  static Chosen choose(List<Cell> cells, Strategy asked, Network network, Order order) {
    return soonest(lookedAt(cells, asked, network, order));
  }

  /** Of candidates that end at the same time, the first. */
  static Chosen soonest(List<Candidate> candidates) {
    Candidate best = candidates.getFirst();
    for (Candidate candidate : candidates) {
      best = candidate.seconds() < best.seconds() ? candidate : best;
    }
    return new Chosen(best.strategy(), best.chunkBytes());
  }

  /** What the choice for one tensor is made from: what was asked, or what AUTO looks at. */
  static List<Candidate> lookedAt(List<Cell> cells, Strategy asked, Network network, Order order) {
    if (asked != Strategy.AUTO) {
      return List.of(candidate(cells, asked, network, order));
    }
    List<Candidate> looked = new ArrayList<>();
    boolean chains = false;
    for (Strategy strategy : CONSIDERED) {
      if (!looked.isEmpty() && (!chains || isTooMany(cells, strategy))) {
        break;
      }
      if (strategy == Strategy.LOCAL_ALL_GATHER
          && soonest(looked).strategy() == Strategy.BROADCAST) {
        break;
      }
      Candidate candidate = candidate(cells, strategy, network, order);
      chains |= candidate.chains();
      looked.add(candidate);
    }
    return looked;
  }

  /** Whether the strategy might make more messages of a tensor than AUTO looks at. */
  static boolean isTooMany(List<Cell> cells, Strategy strategy) {
    return strategy != Strategy.BROADCAST && deliveries(cells) > MANY;
  }

  /** A strategy for one tensor at the chunk size with which it is predicted to end first. */
  static Candidate candidate(List<Cell> cells, Strategy strategy, Network network, Order order) {
    // What the other orders add is small beside what distinguishes strategies and chunks.
    Order estimate = order == Order.NAIVE ? Order.NAIVE : Order.SIZE;
    List<Route> routes = Router.route(cells, strategy, network, estimate);
    boolean chains = routes.stream().anyMatch(route -> route.hops() > 1);
    double busiest = busiest(routes, network);
    Hops hops = new Hops(routes, network, order == Order.OPTIMAL && takesTurns(cells, routes));
    Candidate best =
        new Candidate(strategy, Chosen.MAX_CHUNK_BYTES, Double.POSITIVE_INFINITY, chains);
    for (long chunk = Chosen.MAX_CHUNK_BYTES; chunk >= Chosen.MIN_CHUNK_BYTES; chunk /= 2) {
      double seconds = busiest + hops.slowest(chunk);
      if (seconds < best.seconds()) {
        best = new Candidate(strategy, chunk, seconds, chains);
      }
    }
    return best;
  }

  /** Whether anything of the tensor could be on a NIC beside a slice, or beside a part of it. */
  private static boolean takesTurns(List<Cell> cells, List<Route> routes) {
    return routes.stream().filter(route -> route.hops() > 0).count() > 1
        || cells.stream().anyMatch(cell -> cell.holders().hosts().size() > 1);
  }

  private static long deliveries(List<Cell> cells) {
    return cells.stream().mapToLong(cell -> cell.receivers().devices().size()).sum();
  }

  /** Seconds of the NIC direction, or shared limit, with the most to do. */
  private static double busiest(List<Route> routes, Network network) {
    double[] busy = new double[network.resources()];
    double most = 0;
    for (Route route : routes) {
      for (int i = 0; i < route.hops(); i++) {
        for (int resource : network.crossed(route.hosts().get(i), route.hosts().get(i + 1))) {
          busy[resource] += route.bytes() / network.rate(resource);
          most = Math.max(most, busy[resource]);
        }
      }
    }
    return most;
  }

  /** What the routes over NICs take beyond their bytes, for any chunk size. */
  private static final class Hops {
    private final long[] bytes;

    /** Times that a chunk goes by before the chain is full. */
    private final int[] fills;

    /** Of the slowest host, in seconds and bytes per second. */
    private final double[] latency;

    private final double[] bandwidth;

    Hops(List<Route> all, Network network, boolean turns) {
      List<Route> routes = all.stream().filter(route -> route.hops() > 0).toList();
      int count = routes.size();
      bytes = new long[count];
      fills = new int[count];
      latency = new double[count];
      bandwidth = new double[count];
      for (int r = 0; r < count; r++) {
        Route route = routes.get(r);
        bytes[r] = route.bytes();
        // Slices that take turns by the chunk may each miss their turn once.
        fills[r] = turns ? route.hops() : route.hops() - 1;
        bandwidth[r] = Double.POSITIVE_INFINITY;
        for (int host : route.hosts()) {
          latency[r] = Math.max(latency[r], network.latency(host));
          bandwidth[r] = Math.min(bandwidth[r], network.bandwidth(host));
        }
      }
    }

    /** Seconds that the slowest move adds to its bytes over its bandwidth. */
    double slowest(long tensorChunk) {
      double most = 0;
      for (int r = 0; r < bytes.length; r++) {
        long chunk = Math.min(tensorChunk, bytes[r]);
        long chunks = Math.ceilDiv(bytes[r], chunk);
        double fill = fills[r] * (latency[r] + chunk / bandwidth[r]);
        most = Math.max(most, chunks * latency[r] + fill);
      }
      return most;
    }
  }
}
