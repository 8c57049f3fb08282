package io.crossmesh.transfer.ucx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Waits for a file descriptor with a limit, by {@code ppoll(2)}: the wait that JUCX offers has
 * none. Used by one thread.
 */
final class EventFd {
  private static final short POLLIN = 1;
  private static final long NANOS_PER_SECOND = 1_000_000_000L;

  private static final MethodHandle PPOLL =
      Linker.nativeLinker()
          .downcallHandle(
              Linker.nativeLinker().defaultLookup().findOrThrow("ppoll"),
              FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS));

  private final MemorySegment pollFd;
  private final MemorySegment timespec;

  EventFd(int fd, Arena memory) {
    pollFd = memory.allocate(8, 8);
    pollFd.set(JAVA_INT, 0, fd);
    pollFd.set(JAVA_SHORT, 4, POLLIN);
    timespec = memory.allocate(16, 8);
  }

  /** Returns when the descriptor is readable, after the limit, or early on a signal. */
  void await(long timeoutNanos) {
    timespec.set(JAVA_LONG, 0, timeoutNanos / NANOS_PER_SECOND);
    timespec.set(JAVA_LONG, 8, timeoutNanos % NANOS_PER_SECOND);
    try {
      int ignored = (int) PPOLL.invokeExact(pollFd, 1L, timespec, MemorySegment.NULL);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }
}
