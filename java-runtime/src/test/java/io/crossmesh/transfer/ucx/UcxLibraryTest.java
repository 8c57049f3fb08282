package io.crossmesh.transfer.ucx;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.transfer.ucx.UcxLibrary.Available;
import io.crossmesh.transfer.ucx.UcxLibrary.Unavailable;
import io.crossmesh.transfer.ucx.UcxLibrary.Version;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class UcxLibraryTest {
  @ParameterizedTest
  @CsvSource({"1,13,0", "1,13,1", "1,18,1", "1,20,0", "1,20,9"})
  void versionsOfTheRangeAreAccepted(int major, int minor, int patch) {
    Version version = new Version(major, minor, patch);
    assertThat(UcxLibrary.judge(version)).isEqualTo(new Available(version));
  }

  @ParameterizedTest
  @CsvSource({"1,12,9", "0,99,0", "1,21,0", "2,0,0"})
  void otherVersionsAreRefusedByNameWithTheRemedy(int major, int minor, int patch) {
    assertThat(UcxLibrary.judge(new Version(major, minor, patch)))
        .isInstanceOfSatisfying(
            Unavailable.class,
            unavailable ->
                assertThat(unavailable.reason())
                    .contains(major + "." + minor + "." + patch)
                    .contains("pip install 'crossmesh[ucx]'")
                    .contains("apt-get install libucx0"));
  }
}
