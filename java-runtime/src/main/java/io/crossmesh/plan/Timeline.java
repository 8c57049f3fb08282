package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;

/**
 * Predicts when each move starts and ends: a list schedule of chunks on full-duplex NICs. Whenever
 * a NIC falls free, the first move of the plan that has a chunk ready goes, if all that it crosses
 * is free: the NIC that sends, the NIC that receives, and the shared limits between them. A chunk
 * occupies each of them for its bytes over their bandwidth and lands a latency later; only then may
 * the next host forward it. Between two hosts a window of chunks is in flight at most, as in the
 * transfer engine, so a latency is paid only where it exceeds the time of a window. A move whose
 * route begins where an earlier one brings its slice ({@link Forwarding}) has no chunk ready before
 * all of the slice has landed there.
 *
 * <p>Chunks are events, so their number is bounded: of plans with more than {@value #MAX_EVENTS}
 * chunk hops, runs of neighbouring chunks of a move are taken as one.
 */
final class Timeline {
  private static final int MAX_EVENTS = 1 << 17;

  /** Chunks in flight between two hosts: the transfer engine's default. */
  private static final long WINDOW_CHUNKS = 8;

  private static final Occupied IGNORED = (resource, move, from, to) -> {};

  /** Times closer than this ratio are one instant: sums of the same terms in another order. */
  private static final double SAME = 1 + 1e-12;

  private final Network network;
  private final Trips trips;

  /** The trip that each waits for, or {@link Forwarding#NONE}. */
  private final int[] sources;

  /** Chunks that count as one grain, which is sent and lands as one. */
  private final long run;

  /** Grains in flight between two hosts. Runs longer than a window hide the latency like one. */
  private final long window;

  // By stage, as the trips have them.
  private final int[] moveOf;
  private final int[] landed;
  private final int[] sent;
  private final int[] available;
  private final int[] grains;

  /** The first stage that waits until a stage has landed whole, and the next that does. */
  private final int[] waiting;

  private final int[] nextWaiting;

  private final StagePairs stagePairs;
  private final HostPairs pairs;

  // Events, by kind: a resource, a stage whose grain lands, a pair all of whose resources fall
  // free.
  private final TimeHeap events = new TimeHeap();
  private final int firstLanding;
  private final int firstRelease;
  private final double[] start;
  private final double[] end;
  private final Occupied occupied;

  /** Told of each chunk, or run of chunks, when it starts. */
  interface Occupied {
    /** A move occupies a resource of the network from one time to another, in seconds. */
    void busy(int resource, int move, double from, double to);
  }

  private Timeline(Trips trips, int[] sources, Network network, Occupied occupied) {
    this.trips = trips;
    this.sources = sources;
    this.occupied = occupied;
    this.network = network;
    int stages = trips.stages();
    run = (long) Math.ceil(Math.max(1, trips.chunkHops() / MAX_EVENTS));
    window = Math.max(2, WINDOW_CHUNKS / run);
    moveOf = new int[stages];
    landed = new int[stages];
    sent = new int[stages];
    available = new int[stages];
    grains = new int[stages];
    waiting = new int[stages];
    nextWaiting = new int[stages];
    Arrays.fill(waiting, -1);
    stagePairs = StagePairs.of(trips, network.size());
    pairs = new HostPairs(network, window, stagePairs);
    firstLanding = network.resources();
    firstRelease = firstLanding + stages;
    start = new double[trips.count()];
    end = new double[trips.count()];
    Arrays.fill(start, -1);
  }

  /** The moves of routes with their predicted times. */
  static List<Move> predict(List<Route> routes, List<Chosen> chosen, Network network) {
    Trips trips = Trips.of(routes, chosen);
    Timeline timeline = predict(trips, sources(routes), network, IGNORED);
    List<Move> moves = new ArrayList<>(routes.size());
    for (int m = 0; m < routes.size(); m++) {
      Route route = routes.get(m);
      moves.add(
          route.toMove(
              trips.chunkBytes(m),
              timeline.start(m),
              timeline.end[m],
              network.names(route.hosts())));
    }
    return moves;
  }

  private static int[] sources(List<Route> routes) {
    int[] sources = new int[routes.size()];
    Arrays.fill(sources, Forwarding.NONE);
    if (routes.stream().allMatch(route -> route.after() == null)) {
      return sources;
    }
    IdentityHashMap<Route, Integer> numbers = new IdentityHashMap<>();
    for (int r = 0; r < sources.length; r++) {
      Route after = routes.get(r).after();
      if (after != null) {
        sources[r] = numbers.getOrDefault(after, Forwarding.NONE);
      }
      numbers.put(routes.get(r), r);
    }
    return sources;
  }

  /** The same moves with their predicted times. Copies inside a host are free: 0 to 0. */
  static List<Move> predict(List<Move> moves, Network network) {
    return predict(moves, network, IGNORED);
  }

  /** The same, telling of all that is occupied on the way. */
  static List<Move> predict(List<Move> moves, Network network, Occupied occupied) {
    int[] sources = Forwarding.sources(moves);
    Timeline timeline = predict(Trips.of(moves, network), sources, network, occupied);
    List<Move> timed = new ArrayList<>(moves.size());
    for (int m = 0; m < moves.size(); m++) {
      timed.add(moves.get(m).at(timeline.start(m), timeline.end[m]));
    }
    return timed;
  }

  private static Timeline predict(Trips trips, int[] sources, Network network, Occupied occupied) {
    Timeline timeline = new Timeline(trips, sources, network, occupied);
    timeline.load();
    timeline.simulate();
    return timeline;
  }

  private double start(int move) {
    return Math.max(0, start[move]);
  }

  private void load() {
    for (int m = 0; m < trips.count(); m++) {
      int count = (int) Math.ceilDiv(trips.chunks(m), run);
      int first = trips.firstStage(m);
      for (int stage = first; stage < trips.firstStage(m + 1); stage++) {
        moveOf[stage] = m;
        grains[stage] = count;
        if (stage == first && sources[m] == Forwarding.NONE) {
          available[stage] = count;
          makeReady(stage);
        } else if (stage == first) {
          int landing = trips.stageTo(sources[m], trips.from(stage));
          nextWaiting[stage] = waiting[landing];
          waiting[landing] = stage;
        }
      }
    }
  }

  private void simulate() {
    startReady(0);
    while (!events.isEmpty()) {
      double now = events.key();
      while (!events.isEmpty() && events.key() <= now * SAME) {
        int event = events.remove();
        if (event < firstLanding) {
          pairs.free(event);
        } else if (event < firstRelease) {
          land(event - firstLanding, now);
        } else {
          for (int resource : pairs.resources(event - firstRelease)) {
            pairs.free(resource);
          }
        }
      }
      startReady(now);
    }
  }

  /** Starts, in plan order, one grain of each pair of hosts between which all is free. */
  private void startReady(double now) {
    pairs.look();
    for (int pair = pairs.next(); pair >= 0; pair = pairs.next()) {
      launch(pair, now);
    }
  }

  private void launch(int pair, double now) {
    int stage = pairs.first(pair);
    int move = moveOf[stage];
    int grain = sent[stage]++;
    pairs.occupy(pair);
    if (sent[stage] == available[stage]) {
      pairs.removeFirst(pair);
    }
    long size = run * trips.chunkBytes(move);
    if (grain + 1 == grains[stage]) {
      size = trips.bytes(move) - grain * size;
    }
    double longest = release(stage, size, now);
    events.add(now + longest + pairs.latency(pair), firstLanding + stage);
    if (start[move] < 0) {
      start[move] = now;
    }
  }

  /** Says when all that a grain occupies falls free; the seconds until the last of it does. */
  private double release(int stage, long size, double now) {
    double longest = 0;
    boolean together = true;
    int[] resources = pairs.resources(stagePairs.ofStage(stage));
    for (int resource : resources) {
      double seconds = size / network.rate(resource);
      together &= seconds == longest || resource == resources[0];
      longest = Math.max(longest, seconds);
      occupied.busy(resource, moveOf[stage], now, now + seconds);
    }
    if (together) {
      events.add(now + longest, firstRelease + stagePairs.ofStage(stage));
    } else {
      for (int resource : resources) {
        events.add(now + size / network.rate(resource), resource);
      }
    }
    return longest;
  }

  private void land(int stage, double now) {
    int move = moveOf[stage];
    landed[stage]++;
    pairs.land(stagePairs.ofStage(stage));
    int relay = stage + 1;
    if (relay < moveOf.length && moveOf[relay] == move) {
      available[relay]++;
      if (available[relay] == sent[relay] + 1) {
        makeReady(relay);
      }
    } else if (landed[stage] == grains[stage]) {
      end[move] = now;
    }
    if (landed[stage] == grains[stage]) {
      for (int next = waiting[stage]; next >= 0; next = nextWaiting[next]) {
        available[next] = grains[next];
        makeReady(next);
      }
    }
  }

  private void makeReady(int stage) {
    pairs.makeReady(stagePairs.ofStage(stage), stage);
  }
}
