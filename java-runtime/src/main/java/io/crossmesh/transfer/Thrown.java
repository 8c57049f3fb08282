package io.crossmesh.transfer;

import org.jspecify.annotations.Nullable;

/**
 * What callbacks of the engine threw in a turn of a transport: kept until the turn is over, so that
 * one of them neither takes the others' turn nor passes through code that is not ours. For the
 * owner thread.
 */
public final class Thrown {
  private @Nullable Throwable first;

  /** Runs a callback now. */
  public void guard(Runnable callback) {
    try {
      callback.run();
    } catch (Throwable e) {
      keep(e);
    }
  }

  /** Keeps the first failure; later ones are most likely its consequences. */
  @SuppressWarnings("ReferenceEquality") // a throwable cannot be suppressed by itself
  public void keep(Throwable e) {
    if (first == null) {
      first = e;
    } else if (first != e) {
      first.addSuppressed(e);
    }
  }

  /** Throws what was kept, on the owner thread's own stack. */
  public void rethrow() {
    Throwable thrown = first;
    first = null;
    switch (thrown) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      default -> throw new IllegalStateException(thrown);
    }
  }
}
