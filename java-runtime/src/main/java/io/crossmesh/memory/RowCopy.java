package io.crossmesh.memory;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.ref.Reference;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Copies of equal rows between two segments by the C library's {@code memmove}, which picks the
 * instructions that suit the processor and the length. A checked copy of each row takes up to
 * almost twice as long where rows are short (docs/performance.md).
 *
 * <p>A row's call takes two addresses and no segments, so nothing is checked, held or allocated per
 * row. Bounds, liveness, thread and writability are proven before the first one. What they cannot
 * prove is that nobody closes a segment's arena meanwhile: callers keep it open, as they must for
 * the transport, which reads and writes by address too. Heap segments, whose addresses move, take
 * the JVM's copy.
 */
final class RowCopy {
  /** Most bytes of one call: the garbage collector waits for a call to return. */
  private static final long CALL_BYTES_MAX = 1 << 20;

  /** Without a transition of the thread's state; null on systems without this function. */
  private static final @Nullable MethodHandle MEMMOVE = link();

  private RowCopy() {}

  private static @Nullable MethodHandle link() {
    Linker linker = Linker.nativeLinker();
    return linker
        .defaultLookup()
        .find("memmove")
        .map(
            function ->
                linker.downcallHandle(
                    function,
                    FunctionDescriptor.ofVoid(JAVA_LONG, JAVA_LONG, JAVA_LONG),
                    Linker.Option.critical(false)))
        .orElse(null);
  }

  /**
   * Copies {@code rows} rows of {@code rowBytes} bytes; in either segment, row i begins at {@code
   * at + i * stride}. Rows must not overlap.
   *
   * @throws IndexOutOfBoundsException if a row is not inside its segment; nothing is copied then
   * @throws IllegalArgumentException if {@code to} is read-only
   */
  static void copy(
      MemorySegment from,
      long fromAt,
      long fromStride,
      MemorySegment to,
      long toAt,
      long toStride,
      long rows,
      long rowBytes) {
    if (MEMMOVE == null || rows == 0 || rowBytes == 0 || !from.isNative() || !to.isNative()) {
      for (long row = 0; row < rows; row++) {
        MemorySegment.copy(from, fromAt + row * fromStride, to, toAt + row * toStride, rowBytes);
      }
      return;
    }
    long source = address(from, fromAt, fromStride, rows, rowBytes);
    long target = address(to, toAt, toStride, rows, rowBytes);
    // Checked access to one byte of each: refused where a checked copy of all would be.
    byte ignored = from.get(JAVA_BYTE, fromAt);
    to.set(JAVA_BYTE, toAt, to.get(JAVA_BYTE, toAt));
    try {
      if (rowBytes <= CALL_BYTES_MAX) {
        byAddress(source, fromStride, target, toStride, rows, rowBytes);
      } else {
        longRows(source, fromStride, target, toStride, rows, rowBytes);
      }
    } finally {
      Reference.reachabilityFence(from);
      Reference.reachabilityFence(to);
    }
  }

  /** The address of the first row, after proof that all rows are inside the segment. */
  private static long address(
      MemorySegment segment, long at, long stride, long rows, long rowBytes) {
    long span = Math.addExact(Math.multiplyExact(rows - 1, stride), rowBytes);
    if (stride < 0 || rows < 0 || rowBytes < 0) {
      throw new IndexOutOfBoundsException(
          "%d rows of %d bytes, %d apart".formatted(rows, rowBytes, stride));
    }
    return segment.address() + Objects.checkFromIndexSize(at, span, segment.byteSize());
  }

  private static void longRows(
      long from, long fromStride, long to, long toStride, long rows, long rowBytes) {
    long calls = rowBytes / CALL_BYTES_MAX;
    long done = calls * CALL_BYTES_MAX;
    for (long row = 0; row < rows; row++) {
      long source = from + row * fromStride;
      long target = to + row * toStride;
      byAddress(source, CALL_BYTES_MAX, target, CALL_BYTES_MAX, calls, CALL_BYTES_MAX);
      byAddress(source + done, 0, target + done, 0, 1, rowBytes - done);
    }
  }

  private static void byAddress(
      long from, long fromStride, long to, long toStride, long rows, long rowBytes) {
    MethodHandle memmove = Objects.requireNonNull(MEMMOVE);
    try {
      for (long row = 0; row < rows; row++) {
        memmove.invokeExact(to + row * toStride, from + row * fromStride, rowBytes);
      }
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
