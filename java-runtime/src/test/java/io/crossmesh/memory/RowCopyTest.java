package io.crossmesh.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.concurrent.atomic.AtomicReference;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What is proven before addresses are handed out; the bytes are {@link TileLayoutTest}'s. */
@Timeout(60)
final class RowCopyTest {
  private static final long SEED = 20;

  @Test
  void rowsOutsideOfEitherSegmentAreRefusedAndNothingIsCopied() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment from = arena.allocate(1000).fill((byte) 1);
      MemorySegment to = arena.allocate(400);
      assertOutside(() -> RowCopy.copy(from, 201, 200, to, 0, 100, 4, 200));
      assertOutside(() -> RowCopy.copy(from, -1, 200, to, 0, 100, 4, 100));
      assertOutside(() -> RowCopy.copy(from, 0, 300, to, 0, 100, 4, 101));
      assertOutside(() -> RowCopy.copy(from, 0, 100, to, 1, 100, 4, 100));
      assertOutside(() -> RowCopy.copy(from, 0, 100, to, -8, 100, 4, 100));
      assertOutside(() -> RowCopy.copy(from, 900, -300, to, 0, 100, 4, 100));
      assertOutside(() -> RowCopy.copy(from, 0, 300, to, 0, 100, -4, 100));
      assertThatThrownBy(() -> RowCopy.copy(from, 0, 1L << 62, to, 0, 100, 5, 100))
          .isInstanceOf(ArithmeticException.class);
      assertThat(to.toArray(ValueLayout.JAVA_BYTE)).containsOnly(0);
      RowCopy.copy(from, 0, 300, to, 0, 100, 4, 100);
      assertThat(to.toArray(ValueLayout.JAVA_BYTE)).containsOnly(1);
    }
  }

  private static void assertOutside(ThrowingCallable copy) {
    assertThatThrownBy(copy).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void closedReadOnlyAndForeignSegmentsAreRefused() throws InterruptedException {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment open = arena.allocate(200);
      MemorySegment readOnly = arena.allocate(200).asReadOnly();
      MemorySegment closed = closed();
      assertThatThrownBy(() -> RowCopy.copy(closed, 0, 100, open, 0, 100, 2, 100))
          .isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(() -> RowCopy.copy(open, 0, 100, closed, 0, 100, 2, 100))
          .isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(() -> RowCopy.copy(open, 0, 100, readOnly, 0, 100, 2, 100))
          .isInstanceOf(IllegalArgumentException.class);
      AtomicReference<Throwable> refusal = new AtomicReference<>();
      Thread other =
          Thread.ofPlatform()
              .uncaughtExceptionHandler((thread, thrown) -> refusal.set(thrown))
              .start(() -> RowCopy.copy(readOnly, 0, 100, open, 0, 100, 2, 100));
      other.join();
      assertThat(refusal.get()).isInstanceOf(WrongThreadException.class);
    }
  }

  private static MemorySegment closed() {
    try (Arena arena = Arena.ofConfined()) {
      return arena.allocate(200);
    }
  }

  @Test
  void aRowLongerThanOneCallIsCopiedWhole() {
    int bytes = (5 << 20) / 2 + 3;
    byte[] expected = new byte[bytes];
    new Random(SEED).nextBytes(expected);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment from = arena.allocateFrom(ValueLayout.JAVA_BYTE, expected);
      MemorySegment to = arena.allocate(bytes + 2L);
      RowCopy.copy(from, 0, bytes, to, 1, bytes, 1, bytes);
      assertThat(to.asSlice(1, bytes).mismatch(from)).as("seed %d", SEED).isEqualTo(-1);
      assertThat(to.get(ValueLayout.JAVA_BYTE, 0)).isZero();
      assertThat(to.get(ValueLayout.JAVA_BYTE, bytes + 1L)).isZero();
    }
  }
}
