package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.Thrown;
import java.util.ArrayDeque;

/**
 * Work that must not run where it was found: inside a native callback, where endpoints may not be
 * closed, or inside a post, whose caller does not expect its own completion yet. Also keeps what
 * the engine's callbacks throw away from native code until the owner thread is back in Java.
 */
final class Deferred {
  private final ArrayDeque<Runnable> tasks = new ArrayDeque<>();
  private final Thrown thrown = new Thrown();

  void later(Runnable task) {
    tasks.add(task);
  }

  boolean isEmpty() {
    return tasks.isEmpty();
  }

  /** Runs what is there now; what that adds waits for the next call. */
  int run() {
    int count = tasks.size();
    for (int i = 0; i < count; i++) {
      guarded(tasks.remove());
    }
    return count;
  }

  /** Runs a callback of the engine now. */
  void guarded(Runnable callback) {
    thrown.guard(callback);
  }

  /** Keeps a failure. */
  void caught(Throwable e) {
    thrown.keep(e);
  }

  /** Throws what was kept. */
  void rethrow() {
    thrown.rethrow();
  }
}
