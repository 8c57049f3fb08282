package io.crossmesh.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.mesh.Box;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@Timeout(60)
final class TileLayoutTest {
  private static final int[] ELEMENT_BYTES = {1, 2, 4, 8, 16, 3, 32};

  static LongStream seeds() {
    return LongStream.range(0, 60);
  }

  /** One random tile with a box in it, and where each packed byte of the box lies in the tile. */
  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record Case(long[] tile, long[] lo, long[] extent, int elementBytes, int[] places) {
    static Case random(Random random) {
      int rank = random.nextInt(9);
      int elementBytes = ELEMENT_BYTES[random.nextInt(ELEMENT_BYTES.length)];
      long[] tile = new long[rank];
      long[] lo = new long[rank];
      long[] extent = new long[rank];
      int limit = rank <= 2 ? 40 : rank <= 4 ? 8 : 4;
      for (int d = 0; d < rank; d++) {
        tile[d] = 1L + random.nextInt(limit);
        boolean whole = random.nextInt(3) == 0;
        extent[d] = whole ? tile[d] : 1 + random.nextLong(tile[d]);
        lo[d] = random.nextLong(tile[d] - extent[d] + 1);
      }
      if (rank > 0 && random.nextInt(20) == 0) {
        extent[random.nextInt(rank)] = 0;
      }
      return new Case(tile, lo, extent, elementBytes, places(tile, lo, extent, elementBytes));
    }

    /** The slow and obvious way: count through the box element by element. */
    static int[] places(long[] tile, long[] lo, long[] extent, int elementBytes) {
      long volume = Arrays.stream(extent).reduce(1, (a, b) -> a * b);
      int[] places = new int[Math.toIntExact(volume * elementBytes)];
      for (long element = 0; element < volume; element++) {
        long rest = element;
        long place = 0;
        long stride = 1;
        for (int d = tile.length - 1; d >= 0; d--) {
          place += (lo[d] + rest % extent[d]) * stride;
          rest /= extent[d];
          stride *= tile[d];
        }
        for (int b = 0; b < elementBytes; b++) {
          places[(int) element * elementBytes + b] = (int) place * elementBytes + b;
        }
      }
      return places;
    }

    int tileBytes() {
      return (int) (Arrays.stream(tile).reduce(1, (a, b) -> a * b) * elementBytes);
    }

    TileLayout layout() {
      return TileLayout.of(tile, lo, extent, elementBytes);
    }
  }

  @ParameterizedTest
  @MethodSource("seeds")
  void everyByteRangeIsPackedAndUnpackedAsElementByElement(long seed) {
    Random random = new Random(seed);
    for (int round = 0; round < 20; round++) {
      Case tested = Case.random(random);
      TileLayout layout = tested.layout();
      int total = tested.places().length;
      assertThat(layout.bytes()).as("seed %d, %s", seed, tested).isEqualTo(total);
      for (int range = 0; range < 6; range++) {
        int from = range == 0 ? 0 : random.nextInt(total + 1);
        int length = range == 0 ? total : random.nextInt(total - from + 1);
        checkPack(tested, layout, random, from, length, seed);
        checkUnpack(tested, layout, random, from, length, seed);
      }
    }
  }

  private static void checkPack(
      Case tested, TileLayout layout, Random random, int from, int length, long seed) {
    byte[] tile = new byte[tested.tileBytes() + 5];
    random.nextBytes(tile);
    byte[] expected = new byte[length + 7];
    for (int i = 0; i < length; i++) {
      expected[3 + i] = tile[5 + tested.places()[from + i]];
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = arena.allocateFrom(ValueLayout.JAVA_BYTE, tile);
      MemorySegment out = memory(arena, random, expected.length);
      layout.pack(memory, 5, from, length, out, 3);
      assertThat(out.toArray(ValueLayout.JAVA_BYTE))
          .as("seed %d, %s, bytes [%d, %d)", seed, tested, from, from + length)
          .isEqualTo(expected);
    }
  }

  /** Native memory, which is copied by address, or now and then an array on the heap. */
  private static MemorySegment memory(Arena arena, Random random, int bytes) {
    return random.nextInt(4) == 0 ? MemorySegment.ofArray(new byte[bytes]) : arena.allocate(bytes);
  }

  private static void checkUnpack(
      Case tested, TileLayout layout, Random random, int from, int length, long seed) {
    byte[] in = new byte[length + 3];
    random.nextBytes(in);
    byte[] expected = new byte[tested.tileBytes() + 9];
    for (int i = 0; i < length; i++) {
      expected[9 + tested.places()[from + i]] = in[3 + i];
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = memory(arena, random, expected.length);
      layout.unpack(arena.allocateFrom(ValueLayout.JAVA_BYTE, in), 3, from, length, memory, 9);
      assertThat(memory.toArray(ValueLayout.JAVA_BYTE))
          .as("seed %d, %s, bytes [%d, %d)", seed, tested, from, from + length)
          .isEqualTo(expected);
    }
  }

  @Test
  void aBoxOfWholeInnerDimensionsIsContiguous() {
    TileLayout rows =
        TileLayout.of(new long[] {8, 4, 5}, new long[] {2, 0, 0}, new long[] {3, 4, 5}, 2);
    assertThat(rows.contiguous()).isTrue();
    assertThat(rows.offset()).isEqualTo(2 * 4 * 5 * 2);
    TileLayout oneRow =
        TileLayout.of(new long[] {8, 4, 5}, new long[] {7, 1, 0}, new long[] {1, 2, 5}, 2);
    assertThat(oneRow.contiguous()).isTrue();
    assertThat(oneRow.offset()).isEqualTo((7 * 20 + 5) * 2);
    TileLayout columns = TileLayout.of(new long[] {8, 4}, new long[] {0, 1}, new long[] {8, 2}, 2);
    assertThat(columns.contiguous()).isFalse();
    assertThat(columns.offset()).isEqualTo(2);
  }

  @Test
  void boxesAreInTheCoordinatesOfTheTensor() {
    Box tile = Box.of(new long[] {10, 20}, new long[] {14, 28});
    TileLayout layout = TileLayout.of(tile, Box.of(new long[] {12, 22}, new long[] {13, 25}), 4);
    assertThat(layout.contiguous()).isTrue();
    assertThat(layout.offset()).isEqualTo((2 * 8 + 2) * 4);
    assertThat(layout.bytes()).isEqualTo(3 * 4);
    assertThat(TileLayout.of(tile, tile, 4).bytes()).isEqualTo(4 * 8 * 4);
  }

  @Test
  void aScalarAndAnEmptyBoxAreContiguous() {
    TileLayout scalar = TileLayout.of(new long[0], new long[0], new long[0], 8);
    assertThat(scalar.contiguous()).isTrue();
    assertThat(scalar.bytes()).isEqualTo(8);
    TileLayout empty = TileLayout.of(new long[] {4, 4}, new long[] {1, 1}, new long[] {2, 0}, 8);
    assertThat(empty.contiguous()).isTrue();
    assertThat(empty.bytes()).isZero();
  }

  @Test
  void whatIsOutsideIsRefused() {
    assertThatThrownBy(() -> TileLayout.of(new long[] {4}, new long[] {2}, new long[] {3}, 4))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("dimension 0 of the box, [2, 5)");
    TileLayout layout = TileLayout.of(new long[] {4, 4}, new long[] {0, 1}, new long[] {4, 2}, 4);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment memory = arena.allocate(64);
      assertThatThrownBy(() -> layout.pack(memory, 0, 30, 3, memory, 0))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("[30, 33)");
    }
  }

  @Test
  void copyingAllocatesNothing() {
    var threads = (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
    TileLayout shortRuns =
        TileLayout.of(new long[] {16, 8, 32}, new long[] {1, 2, 3}, new long[] {9, 3, 2}, 4);
    TileLayout longRuns =
        TileLayout.of(new long[] {16, 8, 64}, new long[] {1, 2, 3}, new long[] {9, 3, 50}, 4);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment tile = arena.allocate(16 * 8 * 64 * 4);
      MemorySegment packed = arena.allocate(longRuns.bytes());
      long least = Long.MAX_VALUE;
      for (int attempt = 0; attempt < 10 && least > 0; attempt++) {
        long before = threads.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < 20_000; i++) {
          copyBothWays(shortRuns, tile, packed);
          copyBothWays(longRuns, tile, packed);
        }
        least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
      }
      assertThat(least).as("bytes allocated by 80,000 copies").isLessThan(10_000);
    }
  }

  private static void copyBothWays(TileLayout layout, MemorySegment tile, MemorySegment packed) {
    layout.pack(tile, 0, 7, layout.bytes() - 11, packed, 0);
    layout.unpack(packed, 0, 7, layout.bytes() - 11, tile, 0);
  }
}
