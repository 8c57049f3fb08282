package io.crossmesh.transfer;

import java.util.PriorityQueue;

/**
 * Deadlines in order. An entry is never taken out early: whoever set it looks, when it fires,
 * whether there is still something to end and sets the next one. So each owner keeps one entry, and
 * the queue stays small however many steps come and go.
 */
final class Timers {
  private record Entry(long atNanos, long order, Runnable action) {}

  private final PriorityQueue<Entry> entries =
      new PriorityQueue<>(
          (a, b) -> {
            int byTime = Long.compare(a.atNanos - b.atNanos, 0);
            return byTime != 0 ? byTime : Long.compare(a.order, b.order);
          });
  private long order;

  void at(long nanos, Runnable action) {
    entries.add(new Entry(nanos, order++, action));
  }

  /** Runs what is due; the number of entries that were. */
  int run(long nowNanos) {
    int fired = 0;
    while (true) {
      Entry first = entries.peek();
      if (first == null || first.atNanos - nowNanos > 0) {
        return fired;
      }
      entries.poll();
      first.action.run();
      fired++;
    }
  }

  /** Nanoseconds until the first entry, at most {@code limitNanos}; 0 when it is due. */
  long untilNext(long nowNanos, long limitNanos) {
    Entry first = entries.peek();
    return first == null ? limitNanos : Math.max(0, Math.min(limitNanos, first.atNanos - nowNanos));
  }
}
