package io.crossmesh.plan;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Puts pieces in order and gives each its chain, by running them over the network as a list
 * schedule: whenever NICs fall free, the pieces that {@link SlotMatching} picks start, and the
 * order in which they start is the order of the plan. Whoever later serves the plan's moves in that
 * order, the first that is ready and whose NICs are free, runs this very schedule.
 *
 * <p>That is why relays come before anything new: a relayed piece has its place in the order from
 * its first hop. Pieces of one sender for the same hosts differ in nothing that matters here; they
 * wait in one {@link Lane}, in their natural order.
 *
 * <p>What goes round a ring is a move of its own for each hop, so its place in the order is that of
 * its start; senders come before it, as all hosts wait for them.
 *
 * <p>In the joint {@link Manner} a chain starts only where each of its receivers is free by the
 * time its first chunk gets there, and its receivers are kept for it until then.
 */
final class Interleaver {
  /** Times closer than this ratio are one instant: sums of the same terms in another order. */
  private static final double SAME = 1 + 1e-12;

  private record Relay(Route route, int position, int hop, int from, int to) {}

  private final Network network;
  private final double chunkBytes;
  private final Manner manner;
  private final List<Lane> lanes = new ArrayList<>();
  private final List<Relay> relays = new ArrayList<>();
  private final TimeHeap waiting = new TimeHeap();

  /** What is left of the way of each piece that goes round a ring; its event is the complement. */
  private final List<List<Route>> rings = new ArrayList<>();

  /** Those whose next hop can start, in the order in which they landed. */
  private final ArrayDeque<List<Route>> rounds = new ArrayDeque<>();

  private final TimeHeap events = new TimeHeap();
  private final List<Route> routes = new ArrayList<>();

  /** Seconds that each direction of each host has still to work: host h sends 2h, gets 2h + 1. */
  private final double[] remaining;

  private final boolean[] busy;
  private final double[] busyUntil;

  /** Hosts that a chain on its way will reach. */
  private final boolean[] awaits;

  private final RelayRate relayRate = new RelayRate();
  private double slack;

  private Interleaver(Network network, double chunkBytes, Manner manner) {
    this.network = network;
    this.manner = manner;
    this.chunkBytes = chunkBytes;
    remaining = new double[2 * network.size()];
    busy = new boolean[network.resources()];
    busyUntil = new double[busy.length];
    awaits = new boolean[network.size()];
  }

  /** The routes of the pieces, in the order in which they should start. */
  static List<Route> order(List<Piece> pieces, double chunkBytes, Network network, Manner manner) {
    Interleaver interleaver = new Interleaver(network, chunkBytes, manner);
    interleaver.load(pieces);
    interleaver.run();
    return interleaver.routes;
  }

  private void load(List<Piece> pieces) {
    record Ends(int from, List<Integer> to, boolean ring, int urgency) {}
    Map<Ends, Lane> byEnds = new HashMap<>();
    double longest = 0;
    for (Piece piece : pieces) {
      boolean ring = piece.delivery().ring() > 0;
      Ends ends = new Ends(piece.from(), piece.delivery().hosts(), ring, piece.urgency());
      Lane lane = byEnds.get(ends);
      if (lane == null) {
        lane = new Lane(lanes.size(), ends.from, ends.to, ring, ends.urgency);
        lanes.add(lane);
        byEnds.put(ends, lane);
      }
      lane.add(piece);
      relayRate.expect(piece.bytes(), lane.to().size() - 1);
      longest = Math.max(longest, piece.bytes() / network.bandwidth(lane.from()));
      for (int host : lane.to()) {
        remaining[2 * host + 1] += piece.bytes() / network.bandwidth(host);
      }
      countSent(piece, 1);
    }
    slack = manner.slackPieces() * longest;
  }

  /** Which receiver is the last of the chain, and relays nothing, is open: each is as likely. */
  private void countSent(Piece piece, int sign) {
    List<Integer> to = piece.delivery().hosts();
    double relayed = (double) piece.bytes() * (to.size() - 1) / to.size();
    remaining[2 * piece.from()] += sign * piece.bytes() / network.bandwidth(piece.from());
    for (int host : to) {
      remaining[2 * host] += sign * relayed / network.bandwidth(host);
    }
  }

  private void run() {
    startAll(0);
    while (!events.isEmpty()) {
      double now = events.key();
      while (!events.isEmpty() && events.key() <= now * SAME) {
        int event = events.remove();
        if (event < 0) {
          rounds.add(rings.get(~event));
        } else if (event < busy.length) {
          busy[event] = false;
        } else {
          int relay = event - busy.length;
          waiting.add(relays.get(relay).position, relay);
        }
      }
      startAll(now);
    }
  }

  private void startAll(double now) {
    List<Integer> blocked = new ArrayList<>();
    while (!waiting.isEmpty()) {
      int number = waiting.remove();
      Relay relay = relays.get(number);
      if (network.isFree(busy, relay.from, relay.to)) {
        launch(relay.route, relay.position, relay.hop, now);
      } else {
        blocked.add(number);
      }
    }
    blocked.forEach(number -> waiting.add(relays.get(number).position, number));
    for (Start start : choose(starts(now))) {
      if (network.isFree(busy, start.from(), start.to())) {
        start(start.lane(), start.position(), now);
      }
    }
    for (int i = rounds.size(); i > 0; i--) {
      List<Route> hops = rounds.remove();
      Route hop = hops.getFirst();
      if (network.isFree(busy, hop.hosts().get(0), hop.hosts().get(1))) {
        startHop(hops, now);
      } else {
        rounds.add(hops);
      }
    }
  }

  private List<Start> choose(List<Start> starts) {
    return manner.joint()
        ? new JointMatching(network.size(), starts, relayRate, chunkBytes).choose()
        : new SlotMatching(network.size(), starts, relayRate, chunkBytes).choose();
  }

  private List<Start> starts(double now) {
    double threshold = -slack;
    for (double seconds : remaining) {
      threshold = Math.max(threshold, seconds - slack);
    }
    List<Start> starts = new ArrayList<>();
    for (Lane lane : lanes) {
      if (lane.isEmpty() || busy[network.egress(lane.from())]) {
        continue;
      }
      boolean fromCritical = remaining[2 * lane.from()] >= threshold;
      boolean any = false;
      for (int host : lane.to()) {
        any |= remaining[2 * host + 1] >= threshold;
      }
      int limits = Integer.MAX_VALUE;
      List<Integer> firsts = lane.firsts();
      for (int host : firsts) {
        limits = Math.min(limits, network.limits(lane.from(), host));
      }
      for (int i = 0; i < firsts.size(); i++) {
        int host = firsts.get(i);
        // A chain serves its sender's side of a shared limit first, and passes the limit once.
        if (network.limits(lane.from(), host) == limits
            && network.isFree(busy, lane.from(), host)
            && (!manner.joint() || lane.ring() || canFollow(lane, i, now))) {
          boolean toCritical = remaining[2 * host + 1] >= threshold;
          int critical = (fromCritical ? 2 : 0) + (toCritical ? 2 : any ? 1 : 0);
          int rank = manner.rank(critical, lane.urgency());
          double load = remaining[2 * host + 1];
          starts.add(new Start(lane, host, i, fromCritical, toCritical, rank, load));
        }
      }
    }
    return starts;
  }

  /** Whether all receivers of a chain are free by the time it reaches them. */
  private boolean canFollow(Lane lane, int first, double now) {
    List<Integer> to = lane.to();
    double chunk = Math.min(chunkBytes, (double) lane.next()) / network.bandwidth(lane.from());
    double reached = now;
    for (int hop = 0; hop < to.size(); hop++) {
      int host = to.get((first + hop) % to.size());
      if (awaits[host] || busyUntil[network.egress(host) + 1] > reached * SAME) {
        return false;
      }
      reached += chunk + network.latency(host);
    }
    return true;
  }

  private void start(Lane lane, int position, double now) {
    Piece piece = lane.take();
    relayRate.count(piece.bytes(), lane.to().size() - 1);
    countSent(piece, -1);
    if (lane.ring()) {
      startHop(piece.ring(), now);
      return;
    }
    Route route = piece.route(position, network);
    routes.add(route);
    if (manner.joint()) {
      lane.to().forEach(host -> awaits[host] = true);
    }
    launch(route, routes.size() - 1, 0, now);
  }

  private void startHop(List<Route> hops, double now) {
    Route hop = hops.getFirst();
    routes.add(hop);
    double landed = now + occupy(hop, 0, now);
    if (hops.size() > 1) {
      rings.add(hops.subList(1, hops.size()));
      events.add(landed + network.latency(hop.hosts().get(0), hop.hosts().get(1)), -rings.size());
    }
  }

  private void launch(Route route, int position, int hop, double now) {
    awaits[route.hosts().get(hop + 1)] = false;
    double longest = occupy(route, hop, now);
    if (hop + 1 < route.hops()) {
      int from = route.hosts().get(hop);
      int to = route.hosts().get(hop + 1);
      relays.add(new Relay(route, position, hop + 1, to, route.hosts().get(hop + 2)));
      double first = longest * Math.min(1, chunkBytes / route.bytes());
      double lands = now + first + network.latency(from, to);
      events.add(lands, busy.length + relays.size() - 1);
    }
  }

  /** Takes what a hop crosses; the seconds for which the slowest of it is busy. */
  private double occupy(Route route, int hop, double now) {
    int from = route.hosts().get(hop);
    int to = route.hosts().get(hop + 1);
    remaining[2 * to + 1] -= route.bytes() / network.bandwidth(to);
    double longest = 0;
    for (int resource : network.crossed(from, to)) {
      double seconds = route.bytes() / network.rate(resource);
      longest = Math.max(longest, seconds);
      busy[resource] = true;
      busyUntil[resource] = now + seconds;
      events.add(now + seconds, resource);
    }
    return longest;
  }
}
