package io.crossmesh.transfer;

import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.function.LongConsumer;

/**
 * The calls of a participant that have no answer yet, each with its deadline. All have the same
 * limit, so the first called is the first due, and one timer serves for all; without a limit there
 * is none.
 */
final class PendingCalls {
  private static final long NEVER = Long.MAX_VALUE;

  private final Node node;
  private final OptionalLong limitNanos;
  private final LongConsumer late;
  private final TreeMap<Long, Long> deadlines = new TreeMap<>();
  private boolean timerSet;

  /**
   * @param late told each step whose time is up; it is forgotten afterwards
   */
  PendingCalls(Node node, OptionalLong limitNanos, LongConsumer late) {
    this.node = node;
    this.limitNanos = limitNanos;
    this.late = late;
  }

  void add(long step) {
    deadlines.put(step, limitNanos.isPresent() ? node.now() + limitNanos.getAsLong() : NEVER);
    setTimer();
  }

  /** Notes an answer; false when none was due. */
  boolean remove(long step) {
    return deadlines.remove(step) != null;
  }

  boolean contains(long step) {
    return deadlines.containsKey(step);
  }

  boolean isEmpty() {
    return deadlines.isEmpty();
  }

  List<Long> steps() {
    return List.copyOf(deadlines.keySet());
  }

  void clear() {
    deadlines.clear();
  }

  private void setTimer() {
    if (!timerSet && !deadlines.isEmpty() && limitNanos.isPresent()) {
      timerSet = true;
      node.timers().at(deadlines.firstEntry().getValue(), this::fire);
    }
  }

  private void fire() {
    timerSet = false;
    Map.Entry<Long, Long> first = deadlines.firstEntry();
    while (first != null && first.getValue() - node.now() <= 0) {
      late.accept(first.getKey());
      deadlines.remove(first.getKey());
      first = deadlines.firstEntry();
    }
    setTimer();
  }
}
