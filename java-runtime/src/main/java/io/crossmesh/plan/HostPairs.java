package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The pairs of hosts that are neighbours on some route, with what lies between them and the stages
 * that wait to go. It finds what starts at an instant: of all stages between whose hosts everything
 * is free, the first of the plan, then the first of those that this leaves, and so on.
 *
 * <p>Large meshes have thousands of pairs and many instants, so only pairs are looked at for which
 * something has changed, those of one sender are compared at once, and a sender is compared again
 * only if its choice was taken from it.
 */
final class HostPairs {
  private static final int NONE = Integer.MAX_VALUE;

  private final Network network;
  private final boolean hasLimits;

  /** Grains in flight between two hosts at most. */
  private final long window;

  /** The pairs, ascending, as {@link #key} has them: those of a sender lie beside each other. */
  private final long[] keys;

  // By pair.
  private final int[][] resources;
  private final double[] latency;
  private final TimeHeap[] ready;
  private final int[] first;
  private final int[] sends;
  private final int[] receives;
  private final int[] inFlight;
  private final int[] seen;

  /** The next candidate of the same sender. */
  private final int[] nextCandidate;

  // By resource.
  private final boolean[] busy;

  /** Whether any pair has it as its sender. */
  private final boolean[] isSender;

  private final int[] senderResources;
  private final int[][] pairsOf;
  private final int[] counted;
  private final int[] candidate;
  private final int[] choice;

  private final Numbers touched = new Numbers();
  private final Numbers freed = new Numbers();

  /** By resource: what is left of the candidates of a sender, once it had to choose again. */
  private final List<TimeHeap> sorted = new ArrayList<>();

  /** Senders that have a candidate. */
  private final Numbers looking = new Numbers();

  /** Senders by the first stage that each could start now. */
  private final TimeHeap senders = new TimeHeap();

  private int instant;
  private int left;

  /** Senders that are not busy. */
  private int idle;

  /** A list of numbers that keeps its room. */
  private static final class Numbers {
    int[] values = new int[16];
    int size;

    void add(int value) {
      if (size == values.length) {
        values = Arrays.copyOf(values, 2 * size);
      }
      values[size++] = value;
    }
  }

  /**
   * Pairs between which nothing is on its way; {@code keys} as {@link #key} has them, in any order.
   */
  HostPairs(Network network, long window, long[] keys) {
    this.network = network;
    this.window = window;
    this.keys = Arrays.stream(keys).sorted().distinct().toArray();
    hasLimits = network.groups() > 0;
    int count = this.keys.length;
    resources = new int[count][];
    latency = new double[count];
    ready = new TimeHeap[count];
    first = new int[count];
    sends = new int[count];
    receives = new int[count];
    inFlight = new int[count];
    seen = new int[count];
    nextCandidate = new int[count];
    busy = new boolean[network.resources()];
    isSender = new boolean[busy.length];
    counted = new int[busy.length];
    candidate = new int[busy.length];
    choice = new int[busy.length];
    for (int r = 0; r < busy.length; r++) {
      sorted.add(new TimeHeap());
    }
    for (int pair = 0; pair < count; pair++) {
      makePair(pair);
    }
    senderResources = IntStream.range(0, busy.length).filter(r -> isSender[r]).toArray();
    idle = senderResources.length;
    pairsOf = pairsOf();
  }

  /** What stands for a pair of hosts. */
  static long key(Network network, int from, int to) {
    return (long) from * network.size() + to;
  }

  /** The number of a pair, which must be one of those that there are. */
  int number(int from, int to) {
    return Arrays.binarySearch(keys, key(network, from, to));
  }

  private void makePair(int pair) {
    int from = (int) (keys[pair] / network.size());
    int to = (int) (keys[pair] % network.size());
    resources[pair] = network.crossed(from, to);
    latency[pair] = network.latency(from, to);
    ready[pair] = new TimeHeap();
    first[pair] = NONE;
    sends[pair] = resources[pair][0];
    receives[pair] = resources[pair][1];
    isSender[sends[pair]] = true;
  }

  private int[][] pairsOf() {
    int[] count = new int[busy.length];
    for (int[] crossed : resources) {
      for (int resource : crossed) {
        count[resource]++;
      }
    }
    int[][] pairs = new int[busy.length][];
    Arrays.setAll(pairs, resource -> new int[count[resource]]);
    for (int pair = resources.length - 1; pair >= 0; pair--) {
      for (int resource : resources[pair]) {
        pairs[resource][--count[resource]] = pair;
      }
    }
    return pairs;
  }

  /** What a grain between the hosts occupies. */
  int[] resources(int pair) {
    return resources[pair];
  }

  /** Seconds from when a grain has left until it has landed. */
  double latency(int pair) {
    return latency[pair];
  }

  /** The first stage that is ready; there must be one. */
  int first(int pair) {
    return first[pair];
  }

  /** Makes a stage ready. */
  void makeReady(int pair, int stage) {
    ready[pair].add(stage, stage);
    first[pair] = ready[pair].value();
    touched.add(pair);
  }

  /** The first stage has nothing more to send for now. */
  void removeFirst(int pair) {
    TimeHeap stages = ready[pair];
    stages.remove();
    first[pair] = stages.isEmpty() ? NONE : stages.value();
  }

  /** A grain sets out. */
  void occupy(int pair) {
    inFlight[pair]++;
    idle--;
    for (int resource : resources[pair]) {
      busy[resource] = true;
    }
  }

  /** A grain has landed. */
  void land(int pair) {
    inFlight[pair]--;
    touched.add(pair);
  }

  /** A resource is free again. */
  void free(int resource) {
    busy[resource] = false;
    idle += isSender[resource] ? 1 : 0;
    freed.add(resource);
  }

  /** Turns to an instant, once all that happens at it has been said. */
  void look() {
    instant++;
    looking.size = 0;
    senders.clear();
    int receivers = 0;
    for (int i = 0; i < touched.size; i++) {
      receivers += consider(touched.values[i]);
    }
    receivers += idle < freed.size ? considerIdle() : considerFreed();
    touched.size = 0;
    freed.size = 0;
    for (int i = 0; i < looking.size; i++) {
      choose(looking.values[i]);
    }
    // Each start takes a sender and a receiver.
    left = Math.min(looking.size, receivers);
  }

  /** All pairs between which something is free again. */
  private int considerFreed() {
    int receivers = 0;
    for (int i = 0; i < freed.size; i++) {
      for (int pair : pairsOf[freed.values[i]]) {
        receivers += consider(pair);
      }
    }
    return receivers;
  }

  /** All pairs whose sender is free: fewer than the others, where much falls free at once. */
  private int considerIdle() {
    int receivers = 0;
    for (int sender : senderResources) {
      if (!busy[sender]) {
        for (int pair : pairsOf[sender]) {
          receivers += consider(pair);
        }
      }
    }
    return receivers;
  }

  /** Makes a pair a candidate if it can go; 1 when it is the first with its receiver. */
  private int consider(int pair) {
    if (first[pair] == NONE || busy[sends[pair]] || seen[pair] == instant || !isFree(pair)) {
      return 0;
    }
    seen[pair] = instant;
    int sender = sends[pair];
    if (counted[sender] != instant) {
      counted[sender] = instant;
      candidate[sender] = -1;
      looking.add(sender);
    }
    nextCandidate[pair] = candidate[sender];
    candidate[sender] = pair;
    if (counted[receives[pair]] == instant) {
      return 0;
    }
    counted[receives[pair]] = instant;
    return 1;
  }

  /** The next pair that starts its first stage at this instant, or -1. */
  int next() {
    while (left > 0 && !senders.isEmpty()) {
      int sender = senders.remove();
      if (isFree(choice[sender])) {
        left--;
        return choice[sender];
      }
      chooseAgain(sender);
    }
    return -1;
  }

  /** Of the candidates of a sender, the one with the first stage. */
  private void choose(int sender) {
    int best = candidate[sender];
    for (int pair = nextCandidate[best]; pair >= 0; pair = nextCandidate[pair]) {
      best = first[pair] < first[best] ? pair : best;
    }
    choice[sender] = best;
    senders.add(first[best], sender);
  }

  /** The same once another sender has taken the choice: then more may follow, and are sorted. */
  private void chooseAgain(int sender) {
    TimeHeap others = sorted.get(sender);
    if (candidate[sender] >= 0) {
      others.clear();
      for (int pair = candidate[sender]; pair >= 0; pair = nextCandidate[pair]) {
        if (isFree(pair)) {
          others.add(first[pair], pair);
        }
      }
      candidate[sender] = -1;
    }
    while (!others.isEmpty() && !isFree(others.value())) {
      others.remove();
    }
    if (!others.isEmpty()) {
      choice[sender] = others.remove();
      senders.add(first[choice[sender]], sender);
    }
  }

  private boolean isFree(int pair) {
    return inFlight[pair] < window
        && !busy[sends[pair]]
        && !busy[receives[pair]]
        && (!hasLimits || limitsAreFree(pair));
  }

  private boolean limitsAreFree(int pair) {
    int[] crossed = resources[pair];
    for (int i = 2; i < crossed.length; i++) {
      if (busy[crossed[i]]) {
        return false;
      }
    }
    return true;
  }
}
