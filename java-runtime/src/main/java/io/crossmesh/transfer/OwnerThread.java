package io.crossmesh.transfer;

import io.crossmesh.CrossmeshException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The thread that drives an engine: it works while there is work, looks a few more times, then
 * sleeps in the transport until an event, a command or the next deadline. It owns the engine: the
 * engine is started, driven and closed on this thread, as UCX demands of a worker.
 *
 * <p>An exception that escapes from a turn is a mistake of ours and is logged; the thread goes on,
 * as other channels are not to blame, but not for ever: after {@value #FAILURES_MAX} failing turns
 * in a row, or an {@link Error}, it closes the engine, which tells every party.
 */
public final class OwnerThread implements AutoCloseable {
  /** How often an idle thread looks again before it sleeps, where there are cores for it. */
  public static final int SPINS = 200;

  /** From so many cores on one may be idle while an agent and a trainer work. */
  private static final int CORES_TO_SPIN = 4;

  private static final Logger LOG = LoggerFactory.getLogger(OwnerThread.class);
  private static final int FAILURES_MAX = 16;
  private static final long SLEEP_NANOS_MAX = TimeUnit.SECONDS.toNanos(1);
  private static final long CLOSE_SECONDS_MAX = 10;

  private final TransferEngine engine;
  private final Runnable wakeup;
  private final int spins;
  private final Thread thread;
  private final CompletableFuture<Void> started = new CompletableFuture<>();
  private volatile boolean running = true;

  /**
   * A thread that begins with {@link #start}.
   *
   * @param engine nobody else calls its {@code start}, {@code doWork} and {@code close}
   * @param wakeup ends the transport's sleep: {@link Transport#wakeup()}
   * @param spins how often to look again before sleeping; more is faster on cores that are idle and
   *     slower on cores shared with a trainer
   */
  public OwnerThread(TransferEngine engine, Runnable wakeup, String name, int spins) {
    this.engine = engine;
    this.wakeup = wakeup;
    this.spins = spins;
    this.thread = Thread.ofPlatform().name(name).daemon(true).unstarted(this::run);
  }

  /** How often an idle thread looks again on a machine of so many cores: only beside idle ones. */
  public static int spins(int cores) {
    return cores < CORES_TO_SPIN ? 1 : SPINS;
  }

  /**
   * Begins to work; returns when the engine has started.
   *
   * @throws CrossmeshException AGENT_UNAVAILABLE if its transport does not start; the thread ends
   */
  public OwnerThread start() {
    thread.start();
    try {
      started.join();
    } catch (CompletionException e) {
      switch (e.getCause()) {
        case CrossmeshException known -> throw known;
        case null, default -> throw e;
      }
    }
    return this;
  }

  private void run() {
    int failures = 0;
    try {
      engine.start();
      started.complete(null);
    } catch (Throwable e) {
      engine.close();
      started.completeExceptionally(e);
      return;
    }
    try {
      while (running && failures < FAILURES_MAX) {
        try {
          turn();
          failures = 0;
        } catch (RuntimeException e) {
          failures++;
          LOG.error("a turn of the transfer engine failed", e);
        }
      }
    } finally {
      engine.close();
    }
  }

  private void turn() {
    for (int idle = 0; idle < spins; idle++) {
      if (engine.doWork() > 0) {
        return;
      }
      Thread.onSpinWait();
    }
    engine.awaitWork(SLEEP_NANOS_MAX);
  }

  /** Whether the thread works. */
  public boolean isAlive() {
    return thread.isAlive();
  }

  /** Ends the thread and closes the engine; a second call does nothing. */
  @Override
  public void close() {
    running = false;
    wakeup.run();
    boolean interrupted = false;
    long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(CLOSE_SECONDS_MAX);
    while (thread.isAlive() && System.nanoTime() - limit < 0) {
      try {
        thread.join(100);
      } catch (InterruptedException e) {
        interrupted = true;
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(1));
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
