package io.crossmesh.plan;

import java.util.List;
import java.util.function.IntFunction;
import java.util.function.IntUnaryOperator;

/**
 * What moves and routes have in common for {@link Timeline}, in plain arrays: which hosts each
 * visits, and in chunks of what size.
 *
 * <p>A stage is one hop of one trip; the stages of a trip are neighbours, trips in plan order.
 */
final class Trips {
  private final int count;
  private final long[] bytes;
  private final long[] chunkBytes;

  /** The first stage of each trip, and after the last one the number of all stages. */
  private final int[] first;

  /** The hosts of each stage. */
  private final int[] from;

  private final int[] to;

  private Trips(int count, IntUnaryOperator hops) {
    this.count = count;
    bytes = new long[count];
    chunkBytes = new long[count];
    first = new int[count + 1];
    for (int t = 0; t < count; t++) {
      first[t + 1] = first[t] + hops.applyAsInt(t);
    }
    from = new int[first[count]];
    to = new int[first[count]];
  }

  /** The trips of moves. */
  static Trips of(List<Move> moves, Network network) {
    Trips trips = new Trips(moves.size(), t -> moves.get(t).route().size() - 1);
    for (int t = 0; t < trips.count; t++) {
      Move move = moves.get(t);
      trips.set(t, move.bytes(), move.chunkBytes(), hop -> network.id(move.route().get(hop)));
    }
    return trips;
  }

  /** The trips of routes. */
  static Trips of(List<Route> routes, List<Chosen> chosen) {
    Trips trips = new Trips(routes.size(), t -> routes.get(t).hops());
    for (int t = 0; t < trips.count; t++) {
      Route route = routes.get(t);
      trips.set(t, route.bytes(), route.chunkBytes(chosen), route.hosts()::get);
    }
    return trips;
  }

  private void set(int trip, long size, long chunk, IntFunction<Integer> hosts) {
    bytes[trip] = size;
    chunkBytes[trip] = chunk;
    for (int stage = first[trip]; stage < first[trip + 1]; stage++) {
      from[stage] = hosts.apply(stage - first[trip]);
      to[stage] = hosts.apply(stage - first[trip] + 1);
    }
  }

  int count() {
    return count;
  }

  /** Number of hops of all trips. */
  int stages() {
    return from.length;
  }

  /** Hops of all chunks. */
  double chunkHops() {
    double hops = 0;
    for (int t = 0; t < count; t++) {
      hops += (double) chunks(t) * (first[t + 1] - first[t]);
    }
    return hops;
  }

  long bytes(int trip) {
    return bytes[trip];
  }

  long chunkBytes(int trip) {
    return chunkBytes[trip];
  }

  long chunks(int trip) {
    return Math.ceilDiv(bytes[trip], chunkBytes[trip]);
  }

  /** The first stage of a trip; of the number of all trips, the number of all stages. */
  int firstStage(int trip) {
    return first[trip];
  }

  /** The stage of a trip that ends at a host that the trip must visit. */
  int stageTo(int trip, int host) {
    int stage = first[trip];
    while (to[stage] != host) {
      stage++;
    }
    return stage;
  }

  /** The host that a stage leaves. */
  int from(int stage) {
    return from[stage];
  }

  /** The host that a stage reaches. */
  int to(int stage) {
    return to[stage];
  }
}
