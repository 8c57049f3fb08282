package io.crossmesh.transfer;

import io.crossmesh.transfer.sim.Scenario;
import java.nio.file.Path;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Random clusters, layouts, paces and mishaps over the simulated network. The seed in a failure's
 * name repeats the run; {@code -Dcrossmesh.seeds=N} tries more.
 */
@Timeout(600)
class TransferPropertyTest {
  @TempDir Path directory;

  static LongStream seeds() {
    return LongStream.range(0, Long.getLong("crossmesh.seeds", 200));
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void undisturbedStepsArriveExactly(long seed) {
    new Scenario(seed, false, directory).run();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void everyStepEndsAndAllMemoryReturnsWhateverGoesWrong(long seed) {
    new Scenario(seed, true, directory).run();
  }
}
