package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.transfer.soak.SeedRun;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Random clusters, layouts, paces and mishaps over the simulated network, one run a seed. {@code
 * make soak} runs more of them, and a failing one again.
 */
@Timeout(600)
class TransferPropertyTest {
  private static final long SEEDS = 10_000;

  @Test
  void transfersAreExactAndEndAndMemoryReturnsWhateverGoesWrong()
      throws IOException, InterruptedException {
    int threads = Runtime.getRuntime().availableProcessors();
    Path directory = SeedRun.directory();
    try {
      SeedRun.Outcome outcome =
          SeedRun.run(0, SEEDS, threads, Duration.ofMinutes(9), directory, passed -> {});
      outcome.failed().ifPresent(TransferPropertyTest::fail);
      assertThat(outcome.seeds()).isEqualTo(SEEDS);
    } finally {
      SeedRun.remove(directory);
    }
  }

  private static void fail(SeedRun.Failed failed) {
    throw new AssertionError(
        "seed %d; make soak SEED=%d runs it again".formatted(failed.seed(), failed.seed()),
        failed.why());
  }
}
