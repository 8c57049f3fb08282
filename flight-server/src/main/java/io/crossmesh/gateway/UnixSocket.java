package io.crossmesh.gateway;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.invoke.MethodHandle;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;

/** A listening Unix socket for this user alone, also where its path is longer than one may be. */
final class UnixSocket {
  /** Of 108 bytes on Linux and 104 elsewhere, with a zero at the end. */
  static final int PATH_BYTES_MAX = 100;

  private static final int BACKLOG = 128;
  private static final int O_PATH_DIRECTORY_CLOEXEC = 0x200000 | 0x10000 | 0x80000;

  private UnixSocket() {}

  /**
   * Listens; whoever is let in must be accepted without blocking.
   *
   * @param path that does not exist, in a directory of this user alone
   */
  static ServerSocketChannel listen(Path path) throws IOException {
    ServerSocketChannel channel = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
    try {
      bind(channel, path.toAbsolutePath());
      Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-------"));
      channel.configureBlocking(false);
      return channel;
    } catch (IOException | RuntimeException e) {
      channel.close();
      throw e;
    }
  }

  private static void bind(ServerSocketChannel channel, Path path) throws IOException {
    if (path.toString().getBytes(StandardCharsets.UTF_8).length <= PATH_BYTES_MAX) {
      channel.bind(UnixDomainSocketAddress.of(path), BACKLOG);
      return;
    }
    // The same place by a shorter name.
    int directory = Calls.open(path.resolveSibling("").toString());
    try {
      Path here = Path.of("/proc/self/fd", Integer.toString(directory));
      channel.bind(UnixDomainSocketAddress.of(here.resolve(path.getFileName())), BACKLOG);
    } finally {
      Calls.close(directory);
    }
  }

  /** Linked on first use only. */
  private static final class Calls {
    private static final Linker LINKER = Linker.nativeLinker();
    private static final MethodHandle OPEN =
        LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("open"),
            FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT),
            Linker.Option.firstVariadicArg(2));
    private static final MethodHandle CLOSE =
        LINKER.downcallHandle(
            LINKER.defaultLookup().findOrThrow("close"), FunctionDescriptor.of(JAVA_INT, JAVA_INT));

    static int open(String directory) throws IOException {
      int file;
      try (Arena memory = Arena.ofConfined()) {
        file = (int) OPEN.invokeExact(memory.allocateFrom(directory), O_PATH_DIRECTORY_CLOEXEC);
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
      if (file < 0) {
        throw new IOException("the directory " + directory + " cannot be opened");
      }
      return file;
    }

    static void close(int file) {
      try {
        int ignored = (int) CLOSE.invokeExact(file);
      } catch (Throwable e) {
        throw new AssertionError(e);
      }
    }
  }
}
