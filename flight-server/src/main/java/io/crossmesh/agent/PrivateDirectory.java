package io.crossmesh.agent;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The directory of one agent process, {@code <arena-dir>/crossmesh-<uid>/<name>-<pid>/}, mode 0700;
 * with {@code -2} and so on behind it where another container's agent has that name.
 *
 * <p>It lives as long as the process. A process that was killed cannot remove its own, so each one
 * holds a lock on a file inside, which the kernel drops with the process, however it ended: the
 * next agent of the same user removes every directory whose lock is free. A lock is asked, not the
 * pid: pids are reused, and containers that share a /dev/shm do not share pids.
 */
final class PrivateDirectory implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(PrivateDirectory.class);
  private static final String LOCK_FILE = "lock";
  private static final int SAME_NAMES_MAX = 1000;

  // The kernel's file locks belong to the process, and closing any descriptor of a file drops them:
  // a directory of this process must never be probed.
  private static final Set<Path> OURS = ConcurrentHashMap.newKeySet();

  private final Path path;
  private final FileChannel channel;
  private final FileLock lock;
  private boolean closed;

  private PrivateDirectory(Path path, FileChannel channel, FileLock lock) {
    this.path = path;
    this.channel = channel;
    this.lock = lock;
  }

  /**
   * Creates this process's directory and removes those that dead agents of this user left.
   *
   * @param parent usually /dev/shm; must exist
   * @throws CrossmeshException with {@link Code#AGENT_UNAVAILABLE} if it cannot be had, or if
   *     somebody else owns the user's directory
   */
  static PrivateDirectory create(Path parent, String name) {
    try {
      Path base = ownedBase(parent);
      Path startLock = base.resolve(".start");
      try (FileChannel start = openLockFile(startLock);
          FileLock held = start.lock()) {
        removeDead(base);
        Path path = make(base, name + "-" + ProcessHandle.current().pid());
        FileChannel channel = openLockFile(path.resolve(LOCK_FILE));
        FileLock lock = channel.tryLock();
        if (lock == null || !held.isValid()) {
          throw new IOException("cannot lock " + path);
        }
        OURS.add(path);
        return new PrivateDirectory(path, channel, lock);
      }
    } catch (IOException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "agent '%s' cannot make its private directory under %s (%s); choose a writable directory with --arena-dir."
              .formatted(name, parent, e),
          e);
    }
  }

  Path path() {
    return path;
  }

  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    try {
      PrivateFiles.deleteTree(path);
    } catch (IOException e) {
      LOG.warn("cannot remove {}: {}; the next agent on this host will", path, e.toString());
    }
    OURS.remove(path);
    try {
      lock.release();
      channel.close();
    } catch (IOException e) {
      LOG.warn("cannot release the lock of {}: {}", path, e.toString());
    }
  }

  private static Path make(Path base, String name) throws IOException {
    for (int number = 1; ; number++) {
      Path path = base.resolve(number == 1 ? name : name + "-" + number);
      try {
        return Files.createDirectory(path, PrivateFiles.directoryMode());
      } catch (FileAlreadyExistsException e) {
        if (number == SAME_NAMES_MAX) {
          throw e;
        }
      }
    }
  }

  private static Path ownedBase(Path parent) throws IOException {
    Object uid = ownUid(parent);
    Path base = parent.resolve("crossmesh-" + uid);
    if (!Files.exists(base, LinkOption.NOFOLLOW_LINKS)) {
      try {
        Files.createDirectory(base, PrivateFiles.directoryMode());
      } catch (FileAlreadyExistsException e) {
        LOG.debug("another agent made {} at the same time", base);
      }
    }
    // The parent is writable for all: whoever else made this directory could read what we put
    // there.
    boolean ours =
        Files.isDirectory(base, LinkOption.NOFOLLOW_LINKS)
            && uid.equals(Files.getAttribute(base, "unix:uid", LinkOption.NOFOLLOW_LINKS));
    if (!ours) {
      throw new IOException(base + " is not a directory of this user");
    }
    Set<?> mode = Files.getPosixFilePermissions(base, LinkOption.NOFOLLOW_LINKS);
    if (!mode.equals(PrivateFiles.DIRECTORY)) {
      Files.setPosixFilePermissions(base, PosixFilePermissions.fromString("rwx------"));
    }
    return base;
  }

  private static Object ownUid(Path parent) throws IOException {
    Path self = Path.of("/proc/self");
    if (Files.exists(self)) {
      return Files.getAttribute(self, "unix:uid");
    }
    Path probe = Files.createTempFile(parent, ".crossmesh", null, PrivateFiles.fileMode());
    try {
      return Files.getAttribute(probe, "unix:uid");
    } finally {
      Files.delete(probe);
    }
  }

  private static void removeDead(Path base) throws IOException {
    try (var entries = Files.newDirectoryStream(base)) {
      for (Path entry : entries) {
        if (Files.isDirectory(entry, LinkOption.NOFOLLOW_LINKS) && isDead(entry)) {
          PrivateFiles.deleteTree(entry);
          LOG.info("removed {}, left by an agent that was killed", entry);
        }
      }
    }
  }

  private static boolean isDead(Path directory) throws IOException {
    if (OURS.contains(directory)) {
      return false;
    }
    Path file = directory.resolve(LOCK_FILE);
    if (!Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
      return true; // made under the start lock, which we hold: its maker died between two steps
    }
    try (FileChannel probe = FileChannel.open(file, StandardOpenOption.WRITE)) {
      @Nullable FileLock lock = probe.tryLock();
      if (lock == null) {
        return false;
      }
      lock.release();
      return true;
    }
  }

  private static FileChannel openLockFile(Path file) throws IOException {
    return FileChannel.open(
        file, Set.of(StandardOpenOption.CREATE, StandardOpenOption.WRITE), PrivateFiles.fileMode());
  }
}
