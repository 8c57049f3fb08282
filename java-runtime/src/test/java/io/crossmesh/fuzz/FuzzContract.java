package io.crossmesh.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A small share of {@code make fuzz}, over the targets of the module that the test is of. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
public abstract class FuzzContract {
  private static final long INPUTS_EACH = 2_000;

  @TempDir Path directory;

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {1, 2})
  void damagedInputsAreReadOrRefused(long seed) {
    Object module = getClass().getProtectionDomain().getCodeSource().getLocation();
    List<FuzzTarget> targets =
        Fuzz.targets(
            directory,
            provider ->
                provider
                    .getClass()
                    .getProtectionDomain()
                    .getCodeSource()
                    .getLocation()
                    .toString()
                    .equals(module.toString()));
    assertThat(targets).isNotEmpty();
    // Both happen, or the damage would be too tame or too wild to find anything.
    assertThat(Fuzz.all(targets, targets.size() * INPUTS_EACH, seed))
        .allSatisfy(
            watch ->
                assertThat(watch.accepted())
                    .as(watch.line())
                    .isBetween(watch.inputs() / 100, watch.inputs() * 99 / 100));
  }
}
