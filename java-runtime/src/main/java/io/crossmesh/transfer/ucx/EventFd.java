package io.crossmesh.transfer.ucx;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import io.crossmesh.memory.Doorbell;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/**
 * Waits for UCX's file descriptor, and for the bell that clients ring, with a limit, by {@code
 * ppoll(2)}: the wait that JUCX offers has none. Used by one thread.
 */
final class EventFd {
  private static final short POLLIN = 1;
  private static final long POLLFD_BYTES = 8;
  private static final long NANOS_PER_SECOND = 1_000_000_000L;

  private static final MethodHandle PPOLL =
      Linker.nativeLinker()
          .downcallHandle(
              Linker.nativeLinker().defaultLookup().findOrThrow("ppoll"),
              FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS));

  private final @Nullable Doorbell bell;
  private final MemorySegment pollFds;
  private final MemorySegment timespec;

  EventFd(int fd, @Nullable Doorbell bell, Arena memory) {
    this.bell = bell;
    pollFds = memory.allocate(2 * POLLFD_BYTES, 8);
    pollFds.set(JAVA_INT, 0, fd);
    pollFds.set(JAVA_SHORT, 4, POLLIN);
    pollFds.set(JAVA_INT, POLLFD_BYTES, bell == null ? -1 : bell.fd());
    pollFds.set(JAVA_SHORT, POLLFD_BYTES + 4, POLLIN);
    timespec = memory.allocate(16, 8);
  }

  /** Returns when one of them is readable, after the limit, or early on a signal. */
  void await(long timeoutNanos) {
    timespec.set(JAVA_LONG, 0, timeoutNanos / NANOS_PER_SECOND);
    timespec.set(JAVA_LONG, 8, timeoutNanos % NANOS_PER_SECOND);
    try {
      int ignored = (int) PPOLL.invokeExact(pollFds, 2L, timespec, MemorySegment.NULL);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
    if (bell != null && pollFds.get(JAVA_SHORT, POLLFD_BYTES + 6) != 0) {
      bell.drain();
    }
  }
}
