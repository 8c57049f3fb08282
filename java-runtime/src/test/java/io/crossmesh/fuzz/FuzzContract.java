package io.crossmesh.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A small share of {@code make fuzz}, over the targets of one module and those it depends on. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
public abstract class FuzzContract {
  private static final long INPUTS_EACH = 2_000;

  @TempDir Path directory;

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {1, 2})
  void damagedInputsAreReadOrRefused(long seed) {
    List<FuzzTarget> targets = Fuzz.targets(directory);
    assertThat(targets).isNotEmpty();
    targets.forEach(FuzzTarget::close);
    // Both happen, or the damage would be too tame or too wild to find anything.
    assertThat(Fuzz.all(directory, targets.size() * INPUTS_EACH, seed))
        .allSatisfy(
            watch ->
                assertThat(watch.accepted())
                    .as(watch.line())
                    .isBetween(watch.inputs() / 100, watch.inputs() * 99 / 100));
  }
}
