package io.crossmesh.gateway;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * Events on their way to one session. Producers never wait: the number of events is bounded because
 * each answers a call, and a session may have only so many calls unanswered ({@link Session}).
 */
final class EventQueue {
  /** Most events of one answer, so that an answer stays small. */
  static final int BATCH_MAX = 512;

  private final ReentrantLock lock = new ReentrantLock();
  private final Condition arrived = lock.newCondition();
  private final ArrayDeque<Supplier<ObjectNode>> events = new ArrayDeque<>();
  private boolean closed;

  /**
   * @param event made by the thread that takes it
   */
  void add(Supplier<ObjectNode> event) {
    lock.lock();
    try {
      if (!closed) {
        events.add(event);
        arrived.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  int size() {
    lock.lock();
    try {
      return events.size();
    } finally {
      lock.unlock();
    }
  }

  /**
   * Takes what is there, waiting for at least one event.
   *
   * @return empty when the time is over or the queue was closed
   */
  ArrayNode take(long waitMillis) throws InterruptedException {
    List<Supplier<ObjectNode>> taken = new ArrayList<>();
    long left = TimeUnit.MILLISECONDS.toNanos(waitMillis);
    lock.lockInterruptibly();
    try {
      while (events.isEmpty() && !closed && left > 0) {
        left = arrived.awaitNanos(left);
      }
      while (!events.isEmpty() && taken.size() < BATCH_MAX) {
        taken.add(events.remove());
      }
    } finally {
      lock.unlock();
    }
    ArrayNode batch = JsonNodeFactory.instance.arrayNode();
    taken.forEach(event -> batch.add(event.get()));
    return batch;
  }

  /** Wakes whoever waits; later events are dropped. */
  void close() {
    lock.lock();
    try {
      closed = true;
      events.clear();
      arrived.signalAll();
    } finally {
      lock.unlock();
    }
  }
}
