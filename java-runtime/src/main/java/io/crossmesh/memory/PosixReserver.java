package io.crossmesh.memory;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;

/**
 * {@link PageReserver} by {@code posix_fallocate(3)}, which returns its error number instead of
 * setting {@code errno}. It keeps a file descriptor of its own: that of a {@code FileChannel} is
 * out of reach.
 */
final class PosixReserver implements PageReserver {
  /** Errors that mean "no room": of the file system, of the file size limit, of the quota. */
  private static final int ENOSPC = 28;

  private static final int EINTR = 4;
  private static final int EFBIG = 27;
  private static final int EDQUOT = 122;
  private static final int O_RDWR = 2;
  private static final int O_CLOEXEC = 0x80000;

  private final Path file;
  private int fd;

  private PosixReserver(Path file, int fd) {
    this.file = file;
    this.fd = fd;
  }

  /** Whether this system's C library has what this class calls. */
  static boolean available() {
    return System.getProperty("os.name", "").equals("Linux")
        && Linker.nativeLinker().defaultLookup().find("posix_fallocate").isPresent();
  }

  /** Opens {@code file}, which exists, for reserving. */
  static PosixReserver open(Path file) throws IOException {
    try (java.lang.foreign.Arena scratch = java.lang.foreign.Arena.ofConfined()) {
      MemorySegment path = scratch.allocateFrom(file.toAbsolutePath().toString());
      int fd = (int) Calls.OPEN.invokeExact(path, O_RDWR | O_CLOEXEC);
      if (fd < 0) {
        throw new IOException("cannot open " + file + " for reserving its pages");
      }
      return new PosixReserver(file, fd);
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  @Override
  public void reserve(long offset, long length) throws IOException {
    int error;
    do {
      error = fallocate(offset, length);
    } while (error == EINTR);
    switch (error) {
      case 0 -> {}
      case ENOSPC -> throw new IOException("no space left on the file system of " + file);
      case EFBIG -> throw new IOException(file + " would exceed the file size limit");
      case EDQUOT -> throw new IOException(file + " would exceed the disk quota");
      default -> throw new IOException("posix_fallocate on " + file + ": error number " + error);
    }
  }

  private int fallocate(long offset, long length) {
    try {
      return (int) Calls.FALLOCATE.invokeExact(fd, offset, length);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  @Override
  public void close() {
    int closing = fd;
    fd = -1;
    if (closing < 0) {
      return;
    }
    try {
      int ignored = (int) Calls.CLOSE.invokeExact(closing);
    } catch (Throwable e) {
      throw new AssertionError(e);
    }
  }

  /** Linked on first use only: systems without these functions never load this class. */
  private static final class Calls {
    private static final Linker LINKER = Linker.nativeLinker();
    static final MethodHandle OPEN =
        link(
            "open",
            FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT),
            Linker.Option.firstVariadicArg(2));
    static final MethodHandle CLOSE = link("close", FunctionDescriptor.of(JAVA_INT, JAVA_INT));
    static final MethodHandle FALLOCATE =
        link("posix_fallocate", FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG));

    private static MethodHandle link(
        String name, FunctionDescriptor type, Linker.Option... options) {
      return LINKER.downcallHandle(LINKER.defaultLookup().find(name).orElseThrow(), type, options);
    }
  }
}
