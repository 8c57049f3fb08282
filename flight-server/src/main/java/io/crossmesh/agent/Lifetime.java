package io.crossmesh.agent;

import java.io.IOException;
import java.io.InputStream;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How long the process lives: until a signal, or until standard input ends.
 *
 * <p>Both lead to one orderly end that takes at most {@link #END_SECONDS_MAX}; then the process is
 * halted, since a starter that waits for its children must not hang on one of them.
 */
final class Lifetime {
  static final int END_SECONDS_MAX = 10;

  private static final Logger LOG = LoggerFactory.getLogger(Lifetime.class);

  private final CountDownLatch ending = new CountDownLatch(1);
  private final CountDownLatch ended = new CountDownLatch(1);

  /** Ends the process when the stream does; what arrives on it is ignored. */
  void endWith(InputStream input) {
    Thread.ofPlatform()
        .name("stdin-watch")
        .daemon(true)
        .start(
            () -> {
              try {
                byte[] ignored = new byte[256];
                while (input.read(ignored) >= 0) {
                  // Only the end matters.
                }
              } catch (IOException e) {
                LOG.debug("standard input failed, which is its end too", e);
              }
              ending.countDown();
            });
  }

  /** Ends the process on SIGTERM, SIGINT and SIGHUP. */
  void endWithSignals() {
    Runtime.getRuntime()
        .addShutdownHook(
            Thread.ofPlatform()
                .name("signal")
                .unstarted(
                    () -> {
                      ending.countDown();
                      awaitEnd();
                    }));
  }

  /** Whether the process shall end, which is waited for. */
  boolean endsWithin(long millis) throws InterruptedException {
    return ending.await(millis, TimeUnit.MILLISECONDS);
  }

  /** Nothing was started that an end has to wait for. */
  void nothingStarted() {
    ended.countDown();
  }

  /** Waits until the process shall end, then closes what it is given. */
  void runUntilEnd(AutoCloseable process) throws InterruptedException {
    try {
      ending.await();
    } finally {
      haltLate();
      try (process) {
        LOG.debug("ending");
      } catch (Exception e) {
        LOG.error("the end was not orderly", e);
      } finally {
        ended.countDown();
      }
    }
  }

  /** Starts the end; for whoever finds that the process cannot go on. */
  void end() {
    ending.countDown();
  }

  private void awaitEnd() {
    try {
      if (!ended.await(END_SECONDS_MAX, TimeUnit.SECONDS)) {
        Runtime.getRuntime().halt(1);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void haltLate() {
    Thread.ofPlatform().name("halt").daemon(true).start(this::awaitEnd);
  }
}
