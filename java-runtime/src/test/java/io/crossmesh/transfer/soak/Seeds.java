package io.crossmesh.transfer.soak;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/**
 * Runs seeds of the simulation from the command line: {@code seeds=N} or {@code minutes=M}, {@code
 * from=SEED}, {@code threads=N}; or {@code seed=N}, one seed again. Ends with 1 when a seed failed.
 */
public final class Seeds {
  private static final int SECONDS_PER_LINE = 10;
  private static final long SEEDS = 100_000;

  private Seeds() {}

  public static void main(String[] args) throws IOException, InterruptedException {
    Arguments given = Arguments.of(args, "seeds", "minutes", "from", "threads", "seed");
    Path directory = SeedRun.directory();
    int status = 0;
    try {
      if (given.has("seed")) {
        long seed = given.number("seed", 0);
        SeedRun.replay(seed, directory);
        System.out.printf("seed %d passes%n", seed);
      } else {
        status = many(given, directory);
      }
    } finally {
      SeedRun.remove(directory);
    }
    System.exit(status);
  }

  private static int many(Arguments given, Path directory) throws InterruptedException {
    long from = given.number("from", 0);
    boolean timed = given.has("minutes");
    long seeds = given.number("seeds", timed ? Long.MAX_VALUE - from : SEEDS);
    Duration limit = timed ? Duration.ofMinutes(given.number("minutes", 0)) : Duration.ofDays(30);
    int threads = (int) given.number("threads", Runtime.getRuntime().availableProcessors());
    System.out.printf("simulation: seeds from %d on, %d threads%n", from, threads);
    long[] told = {System.nanoTime()};
    SeedRun.Outcome outcome =
        SeedRun.run(from, seeds, threads, limit, directory, passed -> tell(told, passed));
    System.out.printf(
        Locale.ROOT,
        "%d seeds passed in %.1f s: %.0f seeds/s%n",
        outcome.seeds(),
        outcome.took().toMillis() / 1e3,
        outcome.rate());
    outcome.failed().ifPresent(Seeds::tell);
    return outcome.failed().isPresent() ? 1 : 0;
  }

  private static void tell(long[] told, long passed) {
    if (System.nanoTime() - told[0] >= TimeUnit.SECONDS.toNanos(SECONDS_PER_LINE)) {
      told[0] = System.nanoTime();
      System.out.printf("  %d seeds%n", passed);
    }
  }

  private static void tell(SeedRun.Failed failed) {
    System.out.printf("SEED %d FAILED: %s%n", failed.seed(), failed.why());
    failed.why().printStackTrace(System.out);
    System.out.printf("To run it again: make soak SEED=%d%n", failed.seed());
  }
}
