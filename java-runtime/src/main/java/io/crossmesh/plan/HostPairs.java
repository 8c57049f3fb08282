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

  /** By sending host, once it has a pair: by receiving host, the number of the pair, or -1. */
  private final int[][] numbers;

  // By pair.
  private final List<int[]> resources = new ArrayList<>();
  private final List<Double> latency = new ArrayList<>();
  private final List<TimeHeap> ready = new ArrayList<>();
  private int[] first = new int[16];
  private int[] sends = new int[16];
  private int[] receives = new int[16];
  private int[] inFlight = new int[16];
  private int[] seen = new int[16];

  /** The next candidate of the same sender. */
  private int[] nextCandidate = new int[16];

  // By resource.
  private final boolean[] busy;

  /** Whether any pair has it as its sender. */
  private final boolean[] isSender;

  private int[] senderResources = new int[0];
  private int[][] pairsOf = new int[0][];
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

  HostPairs(Network network, long window) {
    this.network = network;
    this.window = window;
    hasLimits = network.groups() > 0;
    numbers = new int[network.size()][0];
    busy = new boolean[network.resources()];
    isSender = new boolean[busy.length];
    counted = new int[busy.length];
    candidate = new int[busy.length];
    choice = new int[busy.length];
    for (int r = 0; r < busy.length; r++) {
      sorted.add(new TimeHeap());
    }
  }

  /** The number of a pair, which it gets when it is first asked for; none after {@link #seal}. */
  int number(int from, int to) {
    if (numbers[from].length == 0) {
      numbers[from] = new int[network.size()];
      Arrays.fill(numbers[from], -1);
    }
    if (numbers[from][to] < 0) {
      numbers[from][to] = makePair(from, to);
    }
    return numbers[from][to];
  }

  private int makePair(int from, int to) {
    int pair = resources.size();
    if (pair == first.length) {
      first = Arrays.copyOf(first, 2 * pair);
      sends = Arrays.copyOf(sends, 2 * pair);
      receives = Arrays.copyOf(receives, 2 * pair);
      inFlight = Arrays.copyOf(inFlight, 2 * pair);
      seen = Arrays.copyOf(seen, 2 * pair);
      nextCandidate = Arrays.copyOf(nextCandidate, 2 * pair);
    }
    int[] crossed = network.crossed(from, to);
    resources.add(crossed);
    latency.add(network.latency(from, to));
    ready.add(new TimeHeap());
    first[pair] = NONE;
    sends[pair] = crossed[0];
    idle += isSender[crossed[0]] ? 0 : 1;
    isSender[crossed[0]] = true;
    receives[pair] = crossed[1];
    return pair;
  }

  /** Says that all pairs have a number. */
  void seal() {
    int[] count = new int[busy.length];
    resources.forEach(crossed -> Arrays.stream(crossed).forEach(r -> count[r]++));
    senderResources = IntStream.range(0, busy.length).filter(r -> isSender[r]).toArray();
    pairsOf = new int[busy.length][];
    Arrays.setAll(pairsOf, r -> new int[count[r]]);
    for (int pair = resources.size() - 1; pair >= 0; pair--) {
      for (int resource : resources.get(pair)) {
        pairsOf[resource][--count[resource]] = pair;
      }
    }
  }

  /** What a grain between the hosts occupies. */
  int[] resources(int pair) {
    return resources.get(pair);
  }

  /** Seconds from when a grain has left until it has landed. */
  double latency(int pair) {
    return latency.get(pair);
  }

  /** The first stage that is ready; there must be one. */
  int first(int pair) {
    return first[pair];
  }

  /** Makes a stage ready. */
  void makeReady(int pair, int stage) {
    ready.get(pair).add(stage, stage);
    first[pair] = ready.get(pair).value();
    touched.add(pair);
  }

  /** The first stage has nothing more to send for now. */
  void removeFirst(int pair) {
    TimeHeap stages = ready.get(pair);
    stages.remove();
    first[pair] = stages.isEmpty() ? NONE : stages.value();
  }

  /** A grain sets out. */
  void occupy(int pair) {
    inFlight[pair]++;
    idle--;
    for (int resource : resources.get(pair)) {
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
    int[] crossed = resources.get(pair);
    for (int i = 2; i < crossed.length; i++) {
      if (busy[crossed[i]]) {
        return false;
      }
    }
    return true;
  }
}
