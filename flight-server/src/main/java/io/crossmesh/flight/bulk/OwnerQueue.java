package io.crossmesh.flight.bulk;

import io.crossmesh.memory.Doorbell;
import io.crossmesh.transfer.Thrown;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Where threads of gRPC leave what the owner thread has to do, and where that sleeps meanwhile. The
 * bell is rung only for a thread that sleeps. Also keeps what the engine's callbacks throw until a
 * turn is over, so that one of them does not take the others' turn.
 */
final class OwnerQueue {
  private static final int TASKS_PER_TURN = 1 << 10;

  private final ConcurrentLinkedQueue<Runnable> tasks = new ConcurrentLinkedQueue<>();
  private final AtomicBoolean woken = new AtomicBoolean();
  private final Doorbell bell;
  private volatile boolean sleeping;
  private final Thrown thrown = new Thrown(); // of the owner thread

  OwnerQueue(Doorbell bell) {
    this.bell = bell;
  }

  /** Any thread. */
  void add(Runnable task) {
    tasks.add(task);
    if (sleeping) {
      bell.ring();
    }
  }

  /** Any thread: ends a present or the next sleep. */
  void wake() {
    if (!woken.getAndSet(true) && sleeping) {
      bell.ring();
    }
  }

  /** Runs what is there; how much that was. */
  int run() {
    int done = 0;
    Runnable task = tasks.poll();
    while (task != null) {
      done++;
      guarded(task);
      task = done < TASKS_PER_TURN ? tasks.poll() : null;
    }
    return done;
  }

  /** Runs a callback of the engine. */
  void guarded(Runnable callback) {
    thrown.guard(callback);
  }

  /** Throws what a callback threw. */
  void rethrow() {
    thrown.rethrow();
  }

  /** Sleeps until there is a task, a wake-up, a ring of the bell, or the limit. */
  void sleep(long limitNanos) {
    if (limitNanos <= 0 || woken.getAndSet(false)) {
      return;
    }
    sleeping = true;
    if (tasks.isEmpty() && !woken.get()) {
      bell.await(limitNanos);
    }
    sleeping = false;
    woken.set(false);
  }
}
