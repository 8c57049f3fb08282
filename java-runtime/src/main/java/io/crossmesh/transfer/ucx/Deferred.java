package io.crossmesh.transfer.ucx;

import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * Work that must not run where it was found: inside a native callback, where endpoints may not be
 * closed, or inside a post, whose caller does not expect its own completion yet. Also keeps what
 * the engine's callbacks throw away from native code until the owner thread is back in Java.
 */
final class Deferred {
  private final ArrayDeque<Runnable> tasks = new ArrayDeque<>();
  private @Nullable Throwable failure;

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
    try {
      callback.run();
    } catch (Throwable e) {
      caught(e);
    }
  }

  /** Keeps the first failure; later ones are most likely its consequences. */
  @SuppressWarnings("ReferenceEquality") // a throwable cannot be suppressed by itself
  void caught(Throwable e) {
    if (failure == null) {
      failure = e;
    } else if (failure != e) {
      failure.addSuppressed(e);
    }
  }

  /** Throws what a callback threw, on the owner thread's own stack. */
  void rethrow() {
    Throwable thrown = failure;
    failure = null;
    switch (thrown) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      default -> throw new IllegalStateException(thrown);
    }
  }
}
