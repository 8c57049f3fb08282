package io.crossmesh.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
final class ArenaTest {
  private static final long MIB = 1 << 20;

  @TempDir Path directory;

  private Path file() {
    return directory.resolve("arena");
  }

  @Test
  void theFileIsPrivateAndGoneAfterClose() throws IOException {
    Arena arena = Arena.create(file(), MIB);
    assertThat(Files.size(file())).isEqualTo(MIB).isEqualTo(arena.budget());
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file())))
        .isEqualTo("rw-------");
    arena.close();
    arena.close();
    assertThat(file()).doesNotExist();
    assertThatThrownBy(() -> arena.allocate(1, "late")).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void aFileThatExistsIsNotTakenOver() throws IOException {
    Files.createFile(file());
    assertArenaFull(() -> Arena.create(file(), MIB)).hasMessageContaining("--arena-dir");
    assertThat(file()).exists();
  }

  @Test
  void aBudgetBelowOnePageIsRefused() {
    assertArenaFull(() -> Arena.create(file(), 4095)).hasMessageContaining("4096");
    assertThat(file()).doesNotExist();
  }

  @Test
  void slotsAreAlignedAndSeenThroughTheFile() throws IOException {
    try (Arena arena = Arena.create(file(), MIB)) {
      Slot small = arena.allocate(3, "small");
      Slot second = arena.allocate(65, "second");
      Slot page = arena.allocate(4096, "page");
      assertThat(small.offset() % 64).isZero();
      assertThat(second.offset() % 64).isZero();
      assertThat(page.offset() % 4096).isZero();
      assertThat(small.segment().byteSize()).isEqualTo(small.bytes()).isEqualTo(3);
      assertThat(arena.used()).isEqualTo(64 + 128 + 4096);
      page.segment().set(ValueLayout.JAVA_BYTE, 7, (byte) 42);
      try (var channel = Files.newByteChannel(file())) {
        channel.position(page.offset() + 7);
        var one = java.nio.ByteBuffer.allocate(1);
        channel.read(one);
        assertThat(one.get(0)).isEqualTo((byte) 42);
      }
    }
  }

  @Test
  void aClosedSlotGivesItsBytesBackOnce() {
    try (Arena arena = Arena.create(file(), MIB)) {
      Slot slot = arena.allocate(MIB, "all");
      slot.close();
      slot.close();
      assertThat(arena.used()).isZero();
      assertThatThrownBy(slot::segment).isInstanceOf(IllegalStateException.class);
      Slot again = arena.allocate(MIB, "again");
      slot.close();
      assertThat(arena.used()).isEqualTo(MIB);
      again.close();
    }
  }

  @Test
  void aSlotClosedAfterItsArenaIsHarmless() {
    Arena arena = Arena.create(file(), MIB);
    Slot slot = arena.allocate(1, "late");
    arena.close();
    slot.close();
    assertThat(arena.used()).isZero();
  }

  @Test
  void theBudgetIsHardAndTheMessageNamesWhoHoldsIt() {
    try (Arena arena = Arena.create(file(), MIB)) {
      Slot little = arena.allocate(1000, "channel little");
      Slot much = arena.allocate(MIB / 2, "channel much");
      assertArenaFull(() -> arena.allocate(MIB / 2, "channel new"))
          .hasMessageContaining("channel new")
          .hasMessageContaining("budget is 1.0 MiB")
          .hasMessageContaining("channel much (524288 bytes), channel little (1024 bytes)")
          .hasMessageContaining("--arena");
      assertArenaFull(() -> arena.allocate(Long.MAX_VALUE, "channel huge"));
      much.close();
      arena.allocate(MIB / 2, "channel new").close();
      little.close();
    }
  }

  @Test
  void theMessageNamesOnlyTheLargestOwners() {
    try (Arena arena = Arena.create(file(), MIB)) {
      List<Slot> held = new ArrayList<>();
      for (int i = 0; i < 20; i++) {
        held.add(arena.allocate(64L * (i + 1), "owner-" + i + "."));
      }
      assertArenaFull(() -> arena.allocate(MIB, "new"))
          .hasMessageContaining("owner-19.")
          .hasMessageContaining("and 12 more")
          .hasMessageNotContaining("owner-3.");
      held.forEach(Slot::close);
    }
  }

  @Test
  void aFileSystemWithoutRoomIsAnErrorBeforeTheSlotIsHandedOut() {
    boolean[] broken = {false};
    try (Arena arena =
        Arena.create(
            file(),
            MIB,
            (path, channel) ->
                new PageReserver() {
                  @Override
                  public void reserve(long offset, long length) throws IOException {
                    if (broken[0]) {
                      throw new IOException("no space left");
                    }
                  }

                  @Override
                  public void close() {}
                })) {
      Slot held = arena.allocate(100, "channel held");
      broken[0] = true;
      assertArenaFull(() -> arena.allocate(MIB / 2, "channel new"))
          .hasMessageContaining("no space left")
          .hasMessageContaining("channel held")
          .hasMessageContaining("Make room")
          .hasMessageContaining("--arena-dir");
      assertThat(arena.used()).isEqualTo(128);
      broken[0] = false;
      arena.allocate(MIB / 2, "channel new").close();
      held.close();
    }
  }

  @Test
  void pagesAreReservedOnceAndNeverBeyondTheFile() {
    List<long[]> reserved = new ArrayList<>();
    long budget = 3 * 65536 + 4096;
    try (Arena arena =
        Arena.create(
            file(),
            budget,
            (path, channel) ->
                new PageReserver() {
                  @Override
                  public void reserve(long offset, long length) {
                    reserved.add(new long[] {offset, length});
                  }

                  @Override
                  public void close() {}
                })) {
      arena.allocate(10, "a");
      arena.allocate(70_000, "b").close();
      arena.allocate(budget - 4096, "c").close();
      assertThat(reserved)
          .containsExactly(
              new long[] {0, 65536},
              new long[] {65536, 65536},
              new long[] {131072, budget - 131072});
    }
  }

  /** Reserves nothing before it may. */
  private static final class Slow implements PageReserver {
    private final CountDownLatch begun = new CountDownLatch(1);
    private final CountDownLatch may = new CountDownLatch(1);

    @Override
    public void reserve(long offset, long length) throws IOException {
      begun.countDown();
      try {
        if (!may.await(20, TimeUnit.SECONDS)) {
          throw new IOException("not within 20 s");
        }
      } catch (InterruptedException e) {
        throw new IOException(e);
      }
    }

    @Override
    public void close() {}
  }

  @Test
  void whoReservesPagesDelaysNobodyElse() throws Exception {
    Slow slow = new Slow();
    try (Arena arena = Arena.create(file(), 4 * MIB, (path, channel) -> slow)) {
      CompletableFuture<Slot> large =
          CompletableFuture.supplyAsync(() -> arena.allocate(2 * MIB, "large"));
      assertThat(slow.begun.await(20, TimeUnit.SECONDS)).isTrue();
      assertThat(arena.used()).isEqualTo(2 * MIB);
      assertThat(arena.attempt(MIB, "cold", MIB / 2)).isInstanceOf(Arena.Cold.class);
      assertThat(arena.attempt(3 * MIB, "too large", 0)).isInstanceOf(Arena.Full.class);
      assertThat(arena.used()).isEqualTo(2 * MIB);
      slow.may.countDown();
      large.get(20, TimeUnit.SECONDS).close();
      assertThat(arena.attempt(MIB, "warm", 0))
          .isInstanceOfSatisfying(Arena.Got.class, got -> got.slot().close());
      assertThat(arena.attempt(3 * MIB, "warm in part", MIB))
          .isInstanceOfSatisfying(Arena.Got.class, got -> got.slot().close());
      assertThat(arena.used()).isZero();
    }
  }

  @Test
  void anArenaThatClosesWaitsForWhoReserves() throws Exception {
    Slow slow = new Slow();
    Arena arena = Arena.create(file(), 16 * MIB, (path, channel) -> slow);
    CompletableFuture<Slot> large =
        CompletableFuture.supplyAsync(() -> arena.allocate(12 * MIB, "large"));
    assertThat(slow.begun.await(20, TimeUnit.SECONDS)).isTrue();
    CompletableFuture<Void> closed =
        CompletableFuture.runAsync(arena::close, Thread.ofPlatform()::start);
    long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (catchThrowable(() -> arena.attempt(16 * MIB, "one too many", 0)) == null) {
      assertThat(System.nanoTime()).isLessThan(limit);
      Thread.onSpinWait();
    }
    assertThat(closed).isNotDone();
    slow.may.countDown();
    closed.get(20, TimeUnit.SECONDS);
    assertThatThrownBy(() -> large.get(20, TimeUnit.SECONDS)).hasMessageContaining("closed");
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5})
  void slotsNeverOverlapAndEverythingComesBack(long seed) {
    Random random = new Random(seed);
    try (Arena arena = Arena.create(file(), MIB)) {
      TreeMap<Long, Slot> held = new TreeMap<>();
      for (int i = 0; i < 5000; i++) {
        if (!held.isEmpty() && random.nextInt(100) < 50) {
          Long key = held.ceilingKey(random.nextLong(MIB));
          Objects.requireNonNull(held.remove(key == null ? held.firstKey() : key)).close();
          continue;
        }
        long bytes = random.nextBoolean() ? random.nextInt(500) : random.nextInt(60_000);
        Slot slot;
        try {
          slot = arena.allocate(bytes, "property");
        } catch (CrossmeshException full) {
          assertThat(full.code()).isEqualTo(Code.ARENA_FULL);
          continue;
        }
        var below = held.lowerEntry(slot.offset());
        var above = held.ceilingEntry(slot.offset());
        assertThat(below == null || below.getKey() + below.getValue().bytes() <= slot.offset())
            .as("seed %d, %s over %s", seed, slot, below)
            .isTrue();
        assertThat(above == null || slot.offset() + Math.max(bytes, 1) <= above.getKey())
            .as("seed %d, %s over %s", seed, slot, above)
            .isTrue();
        held.put(slot.offset(), slot);
      }
      held.values().forEach(Slot::close);
      assertThat(arena.used()).isZero();
      arena.allocate(MIB, "whole again").close();
    }
  }

  private static org.assertj.core.api.AbstractThrowableAssert<?, ?> assertArenaFull(
      ThrowingCallable call) {
    return assertThatThrownBy(call)
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.ARENA_FULL));
  }
}
