package io.crossmesh.memory;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A named pipe by which one process wakes another that sleeps beside shared memory: bytes in it say
 * "look", how many there are says nothing. Waking by it costs a fraction of waking by a TCP socket.
 *
 * <p>Both ends are kept open here, so that neither a write nor a read ever fails for want of the
 * other process, and neither blocks. The other process sees the end of this one as a hang-up.
 */
public final class Doorbell implements AutoCloseable {
  private static final int O_RDWR = 2;
  private static final int O_NONBLOCK = 0x800;
  private static final int O_CLOEXEC = 0x80000;
  private static final int MODE_PRIVATE = 0600;
  private static final long DRAIN_BYTES = 4096;
  private static final short POLLIN = 1;
  private static final long NANOS_PER_SECOND = 1_000_000_000L;

  private final Path path;
  private final Arena memory;
  private final MemorySegment buffer;
  private final MemorySegment pollFd;
  private final MemorySegment timespec;
  private int fd;

  private Doorbell(Path path, Arena memory, int fd) {
    this.path = path;
    this.memory = memory;
    this.buffer = memory.allocate(DRAIN_BYTES);
    this.pollFd = memory.allocate(8, 8);
    this.timespec = memory.allocate(16, 8);
    pollFd.set(JAVA_SHORT, 4, POLLIN);
    this.fd = fd;
  }

  /**
   * Makes the pipe, which must not exist, for this user alone.
   *
   * @throws IOException if it cannot be made
   */
  // The memory is closed by close(), as the bell outlives this method.
  @SuppressWarnings("MustBeClosedChecker")
  public static Doorbell create(Path path) throws IOException {
    Arena memory = Arena.ofShared();
    try {
      MemorySegment name = memory.allocateFrom(path.toAbsolutePath().toString());
      int made = (int) Calls.MKFIFO.invokeExact(name, MODE_PRIVATE);
      int fd =
          made == 0 ? (int) Calls.OPEN.invokeExact(name, O_RDWR | O_NONBLOCK | O_CLOEXEC) : made;
      if (fd < 0) {
        throw new IOException("cannot make the named pipe " + path);
      }
      return new Doorbell(path, memory, fd);
    } catch (IOException | RuntimeException | Error e) {
      memory.close();
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Where the other process opens it. */
  public Path path() {
    return path;
  }

  /** What is readable after a ring; -1 when closed. */
  public synchronized int fd() {
    return fd;
  }

  /** Wakes whoever waits. A pipe that is full has been rung often enough. */
  public synchronized void ring() {
    call(Calls.WRITE, 1);
  }

  /** Returns after a ring, or one before that nobody took, or after the limit. By one thread. */
  public void await(long timeoutNanos) {
    try {
      pollFd.set(JAVA_INT, 0, fd());
      timespec.set(JAVA_LONG, 0, timeoutNanos / NANOS_PER_SECOND);
      timespec.set(JAVA_LONG, 8, timeoutNanos % NANOS_PER_SECOND);
      int ignored = (int) Calls.PPOLL.invokeExact(pollFd, 1L, timespec, MemorySegment.NULL);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
    if (pollFd.get(JAVA_SHORT, 6) != 0) {
      drain();
    }
  }

  /** Takes what was rung. */
  public synchronized void drain() {
    call(Calls.READ, DRAIN_BYTES);
  }

  private void call(MethodHandle what, long bytes) {
    if (fd < 0) {
      return;
    }
    try {
      long ignored = (long) what.invokeExact(fd, buffer, bytes);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Closes and removes it; a second call does nothing. */
  @Override
  public synchronized void close() {
    if (fd < 0) {
      return;
    }
    try {
      int ignored = (int) Calls.CLOSE.invokeExact(fd);
      fd = -1;
      Files.deleteIfExists(path);
    } catch (IOException e) {
      // The directory may be gone already; the agent removes what is left of dead processes.
    } catch (Throwable e) {
      throw new AssertionError(e);
    } finally {
      memory.close();
    }
  }

  /** Linked on first use only: systems without these functions never load this class. */
  private static final class Calls {
    private static final Linker LINKER = Linker.nativeLinker();
    static final MethodHandle MKFIFO =
        link("mkfifo", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
    static final MethodHandle OPEN =
        link(
            "open",
            FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT),
            Linker.Option.firstVariadicArg(2));
    static final MethodHandle CLOSE = link("close", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
    static final MethodHandle PPOLL =
        link("ppoll", FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS));
    static final MethodHandle READ =
        link("read", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));
    static final MethodHandle WRITE =
        link("write", FunctionDescriptor.of(JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG));

    private static MethodHandle link(
        String name, FunctionDescriptor type, Linker.Option... options) {
      return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), type, options);
    }
  }
}
