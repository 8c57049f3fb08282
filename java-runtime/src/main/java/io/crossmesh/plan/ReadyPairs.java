package io.crossmesh.plan;

/**
 * The stages of each pair of hosts that are ready, and the pairs of each sender in order of the
 * first of them.
 */
final class ReadyPairs {
  /** The first stage of a pair that has none: after all stages. */
  static final int NONE = Integer.MAX_VALUE;

  // By pair.
  private final TimeHeap[] stages;
  private final int[] first;
  private final int[] senderOf;

  /** Pairs with a stage, in order, for each sender from the number of its first pair on. */
  private final int[] pairs;

  // By sender.
  private final int[] begin;
  private final int[] end;

  /** No stage is ready; the pairs of a sender follow each other. */
  ReadyPairs(int[] senderOf, int senders) {
    int count = senderOf.length;
    this.senderOf = senderOf;
    stages = new TimeHeap[count];
    first = new int[count];
    pairs = new int[count];
    begin = new int[senders];
    end = new int[senders];
    for (int pair = count - 1; pair >= 0; pair--) {
      stages[pair] = new TimeHeap();
      first[pair] = NONE;
      begin[senderOf[pair]] = pair;
      end[senderOf[pair]] = pair;
    }
  }

  /** The first stage of a pair, or {@link #NONE}. */
  int first(int pair) {
    return first[pair];
  }

  /** Makes a stage ready; whether it is the first of its pair. */
  boolean add(int pair, int stage) {
    stages[pair].add(stage, stage);
    if (stage > first[pair]) {
      return false;
    }
    setFirst(pair, stage);
    return true;
  }

  /** Removes the first stage of a pair. */
  void removeFirst(int pair) {
    stages[pair].remove();
    setFirst(pair, stages[pair].isEmpty() ? NONE : stages[pair].value());
  }

  private void setFirst(int pair, int stage) {
    int sender = senderOf[pair];
    if (first[pair] != NONE) {
      int at = position(sender, first[pair]);
      System.arraycopy(pairs, at + 1, pairs, at, --end[sender] - at);
    }
    first[pair] = stage;
    if (stage != NONE) {
      int at = position(sender, stage);
      System.arraycopy(pairs, at, pairs, at + 1, end[sender]++ - at);
      pairs[at] = pair;
    }
  }

  /** The place of the first pair of a sender. */
  int begin(int sender) {
    return begin[sender];
  }

  /** The place after the last. */
  int end(int sender) {
    return end[sender];
  }

  /** The pair at a place. */
  int at(int place) {
    return pairs[place];
  }

  /** The place after that of a pair which has a stage. */
  int after(int pair) {
    return position(senderOf[pair], first[pair]) + 1;
  }

  /** Where the pair with a first stage is among those of its sender, or where it belongs. */
  private int position(int sender, int stage) {
    int low = begin[sender];
    int high = end[sender];
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (first[pairs[middle]] < stage) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
