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

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "/t/libjucx_amd64.so: failed to map segment from shared object|noexec|pip install",
        "Failed to create temp directory|not writable|pip install",
        "libnuma.so.1: cannot open shared object file: No such file|'libnuma.so.1'|pip install",
        "libucp.so.0: cannot open shared object file: No such file|apt-get install libucx0|TMPDIR",
        "undefined symbol: ucp_other|CROSSMESH_UCX|TMPDIR",
      })
  void eachCauseHasItsOwnRemedy(String cause, String said, String unsaid) {
    assertThat(UcxLibrary.remedy(cause)).contains(said).doesNotContain(unsaid);
  }
}
