package io.crossmesh.transfer.soak;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Each planted fault still fits the engine; {@code scripts/planted-bugs} looks for them. */
@Timeout(60)
class PlantedBugsTest {
  private static final Path PATCHES = Path.of("src/test/planted");

  static List<Path> patches() throws IOException {
    try (Stream<Path> files = Files.list(PATCHES)) {
      return files.sorted().toList();
    }
  }

  @ParameterizedTest
  @MethodSource("patches")
  void applies(Path patch) throws IOException, InterruptedException {
    Process git =
        new ProcessBuilder("git", "apply", "--check", "-p2", patch.toAbsolutePath().toString())
            .redirectErrorStream(true)
            .start();
    String said = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(git.waitFor(30, TimeUnit.SECONDS)).isTrue();
    assertThat(git.exitValue()).as(said).isZero();
    assertThat(said).as("what git says when it passed the patch over").isEmpty();
  }
}
