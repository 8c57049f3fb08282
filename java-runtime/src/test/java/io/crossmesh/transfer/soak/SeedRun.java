package io.crossmesh.transfer.soak;

import io.crossmesh.transfer.sim.LossScenario;
import io.crossmesh.transfer.sim.Scenario;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongConsumer;
import java.util.stream.Stream;

/**
 * Runs the scenarios of many seeds, each on one thread, several threads at a time, until one fails,
 * all are done, or the time is up. A seed is one exact run, wherever and beside whatever it runs.
 */
public final class SeedRun {
  /** Real time in which a scenario ends; they take milliseconds. */
  private static final Duration SCENARIO_MAX = Duration.ofSeconds(60);

  /** A seed whose scenario did not hold, and why. */
  public record Failed(long seed, Throwable why) {}

  /**
   * What came of a run.
   *
   * @param seeds that have passed
   */
  public record Outcome(long seeds, Duration took, Optional<Failed> failed) {
    /** Seeds per second of wall time. */
    public double rate() {
      return seeds / Math.max(1e-9, took.toNanos() / 1e9);
    }
  }

  private record Busy(long seed, long sinceNanos) {}

  private final long last;
  private final long until;
  private final Path directory;
  private final LongConsumer progress;
  private final long began = System.nanoTime();
  private final AtomicLong next;
  private final AtomicLong passed = new AtomicLong();
  private final AtomicReference<Failed> failed = new AtomicReference<>();
  private final Map<Thread, Busy> busy = new ConcurrentHashMap<>();

  private SeedRun(long first, long seeds, Duration limit, Path directory, LongConsumer progress) {
    this.next = new AtomicLong(first);
    this.last = first + seeds;
    this.until = began + limit.toNanos();
    this.directory = directory;
    this.progress = progress;
  }

  /**
   * A new directory for arenas, in memory where there is such a place: they are made and dropped by
   * the thousand. {@link #remove} removes it.
   */
  public static Path directory() throws IOException {
    Path shared = Path.of("/dev/shm");
    return Files.isWritable(shared)
        ? Files.createTempDirectory(shared, "crossmesh-soak")
        : Files.createTempDirectory("crossmesh-soak");
  }

  /** Removes a directory with all that is in it. */
  public static void remove(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.deleteIfExists(file);
      }
    }
  }

  /** Runs one seed here; throws what it throws. Of eight, five are storms and one loses hosts. */
  public static void replay(long seed, Path directory) {
    if (seed % 8 == 7) {
      new LossScenario(seed, directory).run();
    } else {
      new Scenario(seed, seed % 4 != 0, directory).run();
    }
  }

  /**
   * Runs seeds from {@code first} on.
   *
   * @param limit after which no further seed is begun
   * @param directory for the arenas, empty
   * @param progress told every second how many have passed
   */
  public static Outcome run(
      long first, long seeds, int threads, Duration limit, Path directory, LongConsumer progress)
      throws InterruptedException {
    return new SeedRun(first, seeds, limit, directory, progress).run(threads);
  }

  private Outcome run(int count) throws InterruptedException {
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      // Daemons: one that never ends must not keep the process.
      threads.add(Thread.ofPlatform().daemon().name("seeds-" + i).start(this::work));
    }
    while (threads.stream().anyMatch(Thread::isAlive) && !stuck()) {
      threads.getFirst().join(TimeUnit.SECONDS.toMillis(1));
      progress.accept(passed.get());
      threads.removeIf(thread -> !thread.isAlive() && threads.size() > 1);
    }
    Duration took = Duration.ofNanos(System.nanoTime() - began);
    return new Outcome(passed.get(), took, Optional.ofNullable(failed.get()));
  }

  private void work() {
    Path own = directory.resolve(Thread.currentThread().getName());
    while (failed.get() == null && System.nanoTime() < until) {
      long seed = next.getAndIncrement();
      if (seed >= last) {
        return;
      }
      busy.put(Thread.currentThread(), new Busy(seed, System.nanoTime()));
      try {
        Files.createDirectories(own);
        replay(seed, own);
        passed.incrementAndGet();
      } catch (Throwable why) {
        failed.compareAndSet(null, new Failed(seed, why));
      } finally {
        busy.remove(Thread.currentThread());
        clear(own);
      }
    }
  }

  /** Whether a seed has been running for so long that it will not end. */
  private boolean stuck() {
    long now = System.nanoTime();
    busy.forEach(
        (thread, run) -> {
          if (now - run.sinceNanos > SCENARIO_MAX.toNanos()) {
            AssertionError why = new AssertionError("runs for ever");
            why.setStackTrace(thread.getStackTrace());
            failed.compareAndSet(null, new Failed(run.seed, why));
          }
        });
    Failed present = failed.get();
    return present != null && busy.values().stream().anyMatch(run -> run.seed == present.seed);
  }

  private static void clear(Path directory) {
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : files.toList()) {
        Files.deleteIfExists(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
