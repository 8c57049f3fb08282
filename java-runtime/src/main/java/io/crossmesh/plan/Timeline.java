package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

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

  /** Times closer than this ratio are one instant: sums of the same terms in another order. */
  private static final double SAME = 1 + 1e-12;

  private final Network network;
  private final List<Move> moves;
  private final int[] sources;

  /** Chunks that count as one event. */
  private final long run;

  /** Events in flight between two hosts. Runs longer than a window hide the latency like one. */
  private final long window;

  // A stage is one hop of one move; stages of a move are neighbours, moves in plan order.
  private final int[] moveOf;
  private final int[] pairOf;
  private final int[] landed;
  private final int[] sent;
  private final int[] available;
  private final int[] grains;

  /** The first stage that waits until a stage has landed whole, and the next that does. */
  private final int[] waiting;

  private final int[] nextWaiting;

  private final List<Pair> pairs = new ArrayList<>();
  private final List<List<Pair>> pairsOfResource = new ArrayList<>();
  private final boolean[] busy;
  private final int[] countedAt;
  private int instant;
  private final TimeHeap events = new TimeHeap();
  private final List<Pair> touched = new ArrayList<>();
  private final double[] start;
  private final double[] end;
  private final Occupied occupied;

  private static final Occupied IGNORED = (resource, move, from, to) -> {};

  /** Told of each chunk, or run of chunks, when it starts. */
  interface Occupied {
    /** A move occupies a resource of the network from one time to another, in seconds. */
    void busy(int resource, int move, double from, double to);
  }

  /** Two neighbours on some route: what lies between them, and the stages that could go now. */
  private static final class Pair {
    final int id;
    final int[] resources;
    final double latency;
    final TimeHeap ready = new TimeHeap();
    boolean touched;
    int inFlight;

    Pair(int id, int[] resources, double latency) {
      this.id = id;
      this.resources = resources;
      this.latency = latency;
    }
  }

  private Timeline(List<Move> moves, int[] sources, Network network, Occupied occupied) {
    this.moves = moves;
    this.sources = sources;
    this.occupied = occupied;
    this.network = network;
    int stages = 0;
    double hops = 0;
    for (Move move : moves) {
      stages += move.route().size() - 1;
      hops += (double) move.chunks() * (move.route().size() - 1);
    }
    run = (long) Math.ceil(Math.max(1, hops / MAX_EVENTS));
    window = Math.max(2, WINDOW_CHUNKS / run);
    moveOf = new int[stages];
    pairOf = new int[stages];
    landed = new int[stages];
    sent = new int[stages];
    available = new int[stages];
    grains = new int[stages];
    waiting = new int[stages];
    nextWaiting = new int[stages];
    Arrays.fill(waiting, -1);
    busy = new boolean[network.resources()];
    countedAt = new int[busy.length];
    for (int r = 0; r < busy.length; r++) {
      pairsOfResource.add(new ArrayList<>());
    }
    start = new double[moves.size()];
    end = new double[moves.size()];
    Arrays.fill(start, -1);
  }

  /** The moves of routes with their predicted times. */
  static List<Move> predict(List<Route> routes, List<Chosen> chosen, Network network) {
    List<Move> moves = new ArrayList<>(routes.size());
    for (Route route : routes) {
      moves.add(route.toMove(chosen.get(route.cell().task().tensor()).chunkBytes(), network));
    }
    return predict(moves, sources(routes), network, IGNORED);
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
    return predict(moves, Forwarding.sources(moves), network, occupied);
  }

  private static List<Move> predict(
      List<Move> moves, int[] sources, Network network, Occupied occupied) {
    Timeline timeline = new Timeline(moves, sources, network, occupied);
    timeline.load();
    timeline.simulate();
    List<Move> timed = new ArrayList<>(moves.size());
    for (int m = 0; m < moves.size(); m++) {
      timed.add(moves.get(m).at(Math.max(0, timeline.start[m]), timeline.end[m]));
    }
    return timed;
  }

  private void load() {
    Map<Long, Pair> byHosts = new HashMap<>();
    int[] firstStages = new int[moves.size()];
    int stage = 0;
    for (int m = 0; m < moves.size(); m++) {
      Move move = moves.get(m);
      firstStages[m] = stage;
      int count = (int) Math.ceilDiv(move.chunks(), run);
      for (int hop = 0; hop + 1 < move.route().size(); hop++) {
        int from = network.id(move.route().get(hop));
        int to = network.id(move.route().get(hop + 1));
        Pair pair =
            byHosts.computeIfAbsent((long) from * network.size() + to, key -> makePair(from, to));
        moveOf[stage] = m;
        pairOf[stage] = pair.id;
        grains[stage] = count;
        if (hop == 0 && sources[m] == Forwarding.NONE) {
          available[stage] = count;
          makeReady(stage);
        } else if (hop == 0) {
          int at = moves.get(sources[m]).route().indexOf(move.route().getFirst());
          int landing = firstStages[sources[m]] + at - 1;
          nextWaiting[stage] = waiting[landing];
          waiting[landing] = stage;
        }
        stage++;
      }
    }
  }

  private Pair makePair(int from, int to) {
    Pair pair = new Pair(pairs.size(), network.crossed(from, to), network.latency(from, to));
    pairs.add(pair);
    for (int resource : pair.resources) {
      pairsOfResource.get(resource).add(pair);
    }
    return pair;
  }

  private void simulate() {
    startReady(0);
    while (!events.isEmpty()) {
      double now = events.key();
      while (!events.isEmpty() && events.key() <= now * SAME) {
        int event = events.remove();
        if (event < busy.length) {
          busy[event] = false;
          pairsOfResource.get(event).forEach(this::touch);
        } else {
          land(event - busy.length, now);
        }
      }
      startReady(now);
    }
  }

  private void touch(Pair pair) {
    if (!pair.touched && !pair.ready.isEmpty()) {
      pair.touched = true;
      touched.add(pair);
    }
  }

  private void makeReady(int stage) {
    Pair pair = pairs.get(pairOf[stage]);
    pair.ready.add(stage, stage);
    touch(pair);
  }

  /** Starts, in plan order, one chunk of each pair of hosts between which all is free. */
  private void startReady(double now) {
    instant++;
    TimeHeap candidates = new TimeHeap();
    int senders = 0;
    int receivers = 0;
    for (Pair pair : touched) {
      pair.touched = false;
      if (isFree(pair)) {
        candidates.add(pair.ready.value(), pair.id);
        senders += count(pair.resources[0]);
        receivers += count(pair.resources[1]);
      }
    }
    touched.clear();
    // Each start takes one of either: without this, all pairs of large meshes would be looked at.
    int left = Math.min(senders, receivers);
    while (left > 0 && !candidates.isEmpty()) {
      Pair pair = pairs.get(candidates.remove());
      if (isFree(pair)) {
        launch(pair, now);
        left--;
      }
    }
  }

  /** 1 when this resource is counted for the first time at this instant. */
  private int count(int resource) {
    if (countedAt[resource] == instant) {
      return 0;
    }
    countedAt[resource] = instant;
    return 1;
  }

  private boolean isFree(Pair pair) {
    if (pair.inFlight == window) {
      return false;
    }
    for (int resource : pair.resources) {
      if (busy[resource]) {
        return false;
      }
    }
    return true;
  }

  private void launch(Pair pair, double now) {
    int stage = pair.ready.value();
    Move move = moves.get(moveOf[stage]);
    int grain = sent[stage]++;
    pair.inFlight++;
    if (sent[stage] == available[stage]) {
      pair.ready.remove();
    }
    long size = run * move.chunkBytes();
    if (grain + 1 == grains[stage]) {
      size = move.bytes() - grain * size;
    }
    double longest = 0;
    for (int resource : pair.resources) {
      double seconds = size / network.rate(resource);
      longest = Math.max(longest, seconds);
      busy[resource] = true;
      occupied.busy(resource, moveOf[stage], now, now + seconds);
      events.add(now + seconds, resource);
    }
    events.add(now + longest + pair.latency, busy.length + stage);
    if (start[moveOf[stage]] < 0) {
      start[moveOf[stage]] = now;
    }
  }

  private void land(int stage, double now) {
    int move = moveOf[stage];
    landed[stage]++;
    Pair pair = pairs.get(pairOf[stage]);
    pair.inFlight--;
    touch(pair);
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
}
