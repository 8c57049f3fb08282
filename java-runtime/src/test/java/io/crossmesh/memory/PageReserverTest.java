package io.crossmesh.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class PageReserverTest {
  private static final long MIB = 1 << 20;

  @TempDir Path directory;

  @Test
  @EnabledOnOs(OS.LINUX)
  void posixReservesExactlyTheRange() throws Exception {
    Path file = sparse(directory, 4 * MIB);
    try (PosixReserver reserver = PosixReserver.open(file)) {
      long before = allocatedBytes(file);
      reserver.reserve(MIB, 2 * MIB);
      assertThat(allocatedBytes(file) - before).isEqualTo(2 * MIB);
      assertThat(Files.size(file)).isEqualTo(4 * MIB);
    }
  }

  @Test
  @EnabledOnOs(OS.LINUX)
  void posixFailuresAreExceptionsThatSayWhy() throws IOException {
    Path file = sparse(directory, MIB);
    try (PosixReserver reserver = PosixReserver.open(file)) {
      assertThatThrownBy(() -> reserver.reserve(Long.MAX_VALUE - MIB, MIB))
          .isInstanceOf(IOException.class)
          .hasMessageContaining("sparse");
      assertThatThrownBy(() -> reserver.reserve(0, -1)).hasMessageContaining("error number 22");
    }
    assertThatThrownBy(() -> PosixReserver.open(directory.resolve("missing")))
        .isInstanceOf(IOException.class)
        .hasMessageContaining("missing");
  }

  /** A tmpfs refuses at once what it can never hold, so nothing is filled up on the way. */
  @Test
  @EnabledOnOs(OS.LINUX)
  void anArenaLargerThanSharedMemoryFailsWhenItIsUsedAndGoesOn() throws IOException {
    Path shm = Path.of("/dev/shm");
    long total = Files.getFileStore(shm).getTotalSpace();
    Path inside = Files.createTempDirectory(shm, "crossmesh-test-" + ProcessHandle.current().pid());
    Path file = inside.resolve("arena");
    try (Arena arena = Arena.create(file, 4 * total)) {
      Slot held = arena.allocate(MIB, "channel held");
      assertThatThrownBy(() -> arena.allocate(2 * total, "channel large"))
          .isInstanceOfSatisfying(
              CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.ARENA_FULL))
          .hasMessageContaining("no space left")
          .hasMessageContaining("%.1f MiB large".formatted(total / (double) MIB))
          .hasMessageContaining("channel held (1.0 MiB)")
          .hasMessageMatching(
              "(?s).*mount -o remount,size=\\d+m /dev/shm \\(.*--shm-size=\\d+m\\).*")
          .hasMessageContaining("--arena-dir");
      arena.allocate(MIB, "channel small").segment().fill((byte) 1);
      held.close();
    }
    assertThat(file).doesNotExist();
    Files.delete(inside);
  }

  @Test
  void zerosAreWrittenWherePosixIsMissing() throws Exception {
    Path file = sparse(directory, MIB);
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE);
        PageReserver reserver = PageReserver.writingZeros(channel)) {
      reserver.reserve(4096, 200_000);
      assertThat(Files.size(file)).isEqualTo(MIB);
      assertThat(Files.readAllBytes(file)).containsOnly(0);
    }
  }

  private static Path sparse(Path directory, long bytes) throws IOException {
    Path file = directory.resolve("sparse");
    try (RandomAccessFile raw = new RandomAccessFile(file.toFile(), "rw")) {
      raw.setLength(bytes);
    }
    return file;
  }

  private static long allocatedBytes(Path file) throws Exception {
    Process stat = new ProcessBuilder("stat", "-c", "%b", file.toString()).start();
    String blocks = new String(stat.getInputStream().readAllBytes(), StandardCharsets.US_ASCII);
    assertThat(stat.waitFor()).isZero();
    return Long.parseLong(blocks.strip()) * 512;
  }
}
