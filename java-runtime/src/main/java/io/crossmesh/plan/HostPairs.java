package io.crossmesh.plan;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * The pairs of hosts that are neighbours on some route, with what lies between them and the stages
 * that wait to go. It finds what starts at an instant: of all stages between whose hosts everything
 * is free, the first of the plan, then the first of those that this leaves, and so on.
 *
 * <p>Large meshes have thousands of pairs and many instants, so only pairs are looked at for which
 * something has changed. The pairs of a sender are kept in order of their first stages: one that
 * has fallen free takes the first of them that can go, and if another sender takes that from it,
 * the next. What can go only becomes less within an instant, so it never looks back.
 */
final class HostPairs {
  private final boolean hasLimits;

  /** Grains in flight between two hosts at most. */
  private final long window;

  // By pair.
  private final int[][] resources;
  private final double[] latency;
  private final int[] sends;
  private final int[] receives;
  private final int[] inFlight;

  private final ReadyPairs ready;

  // By resource.
  private final boolean[] busy;
  private final boolean[] isSender;
  private final int[] senders;

  private final int[][] pairsOf;

  /** The instant at which some pair of a sender, or of a receiver, was last found free. */
  private final int[] foundAt;

  /** The instant at which all pairs of a sender were last looked at. */
  private final int[] lookedAt;

  /** The first of the pairs of a sender that can go. */
  private final int[] choice;

  private final Numbers touched = new Numbers();
  private final Numbers freed = new Numbers();

  /** Senders that have a choice, as they are found and then by the first stage of each. */
  private final Numbers found = new Numbers();

  private final TimeHeap starting = new TimeHeap();

  private int instant;

  /** Free receivers of the pairs that were looked at by themselves, not with all of a sender. */
  private int open;

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

  /** Pairs between which nothing is on its way and nothing ready. */
  HostPairs(Network network, long window, StagePairs pairs) {
    this.window = window;
    hasLimits = network.groups() > 0;
    int count = pairs.count();
    resources = new int[count][];
    latency = new double[count];
    sends = new int[count];
    receives = new int[count];
    inFlight = new int[count];
    busy = new boolean[network.resources()];
    isSender = new boolean[busy.length];
    foundAt = new int[busy.length];
    choice = new int[busy.length];
    lookedAt = new int[busy.length];
    for (int pair = 0; pair < count; pair++) {
      int from = pairs.from(pair);
      int to = pairs.to(pair);
      resources[pair] = network.crossed(from, to);
      latency[pair] = network.latency(from, to);
      sends[pair] = resources[pair][0];
      receives[pair] = resources[pair][1];
      isSender[sends[pair]] = true;
    }
    ready = new ReadyPairs(sends, busy.length);
    senders = IntStream.range(0, busy.length).filter(r -> isSender[r]).toArray();
    idle = senders.length;
    pairsOf = pairsOf();
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
    return ready.first(pair);
  }

  /** Makes a stage ready. */
  void makeReady(int pair, int stage) {
    if (ready.add(pair, stage)) {
      touched.add(pair);
    }
  }

  /** The first stage has nothing more to send for now. */
  void removeFirst(int pair) {
    ready.removeFirst(pair);
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
    open = 0;
    if (idle < freed.size) {
      for (int sender : senders) {
        lookAt(sender);
      }
    } else {
      lookAtFreed();
    }
    for (int i = 0; i < touched.size; i++) {
      consider(touched.values[i]);
    }
    starting.clear();
    for (int i = 0; i < found.size; i++) {
      starting.add(ready.first(choice[found.values[i]]), found.values[i]);
    }
    touched.size = 0;
    freed.size = 0;
    found.size = 0;
  }

  /**
   * All pairs between which something is free again; where that is much, it is more than needed.
   */
  private void lookAtFreed() {
    for (int i = 0; i < freed.size; i++) {
      if (isSender[freed.values[i]]) {
        lookAt(freed.values[i]);
      }
    }
    for (int i = 0; i < freed.size; i++) {
      if (!isSender[freed.values[i]]) {
        for (int pair : pairsOf[freed.values[i]]) {
          consider(pair);
        }
      }
    }
  }

  /** Finds the choice of a sender among all its pairs. */
  private void lookAt(int sender) {
    if (!busy[sender]) {
      lookedAt[sender] = instant;
      if (choose(sender, ready.begin(sender))) {
        found.add(sender);
      }
    }
  }

  /** Whether a sender has a choice from some place on. */
  private boolean choose(int sender, int from) {
    for (int at = from; at < ready.end(sender); at++) {
      if (isFree(ready.at(at))) {
        choice[sender] = ready.at(at);
        return true;
      }
    }
    return false;
  }

  /** Makes a pair its sender's choice if it can go and is the first so far. */
  private void consider(int pair) {
    int sender = sends[pair];
    if (ready.first(pair) == ReadyPairs.NONE || lookedAt[sender] == instant || !isFree(pair)) {
      return;
    }
    if (foundAt[receives[pair]] != instant) {
      foundAt[receives[pair]] = instant;
      open++;
    }
    if (foundAt[sender] != instant) {
      foundAt[sender] = instant;
      choice[sender] = pair;
      found.add(sender);
    } else if (ready.first(pair) < ready.first(choice[sender])) {
      choice[sender] = pair;
    }
  }

  /** The next pair that starts its first stage at this instant, or -1. */
  int next() {
    while (!starting.isEmpty()) {
      int sender = starting.remove();
      int pair = choice[sender];
      if (isFree(pair)) {
        open -= foundAt[receives[pair]] == instant ? 1 : 0;
        return pair;
      }
      // Of a sender that was free before, no pair can go but those that were looked at.
      boolean more = lookedAt[sender] == instant || open > 0;
      if (more && choose(sender, ready.after(pair))) {
        starting.add(ready.first(choice[sender]), sender);
      }
    }
    return -1;
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
