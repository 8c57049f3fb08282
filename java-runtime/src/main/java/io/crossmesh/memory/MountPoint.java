package io.crossmesh.memory;

import java.io.IOException;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;

/**
 * The file system that an arena lies in, for the message that says how to enlarge it: what is
 * enlarged is where it is mounted, not a directory inside.
 *
 * @param path where it is mounted
 * @param type such as tmpfs
 */
record MountPoint(Path path, String type) {
  private static final Path MOUNTS = Path.of("/proc/self/mounts");
  private static final Path SHARED_MEMORY = Path.of("/dev/shm");
  private static final String IN_MEMORY = "tmpfs";

  /** The one that a file lies in; empty where the system does not say. */
  static Optional<MountPoint> of(Path file) {
    try {
      Path real = file.toRealPath();
      MountPoint best = null;
      for (String line : Files.readAllLines(MOUNTS)) {
        String[] fields = line.split(" ");
        Path mounted = Path.of(unescaped(fields[1]));
        // Of two at one place the later one covers the other.
        if (real.startsWith(mounted)
            && (best == null || mounted.getNameCount() >= best.path.getNameCount())) {
          best = new MountPoint(mounted, fields[2]);
        }
      }
      return Optional.ofNullable(best);
    } catch (IOException | RuntimeException e) {
      return Optional.empty();
    }
  }

  /** The kernel writes a space as {@code \\040}. */
  private static String unescaped(String text) {
    return text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\");
  }

  /**
   * What makes room for an arena after the kernel refused it pages.
   *
   * @param file the arena's
   * @param missing bytes that it may still need, at most
   * @param refusal what the kernel said
   */
  static String remedy(Path file, long missing, String refusal) {
    String said = refusal.toLowerCase(Locale.ROOT);
    if (said.contains("file size limit")) {
      return "Raise the limit of the agent's process (ulimit -f unlimited)";
    }
    if (said.contains("quota")) {
      return "Raise the quota";
    }
    Optional<MountPoint> mount = of(file);
    if (mount.isEmpty()) {
      return "Make room there";
    }
    Path path = mount.get().path;
    if (!mount.get().type.equals(IN_MEMORY)) {
      return "Make room on the file system that is mounted at " + path;
    }
    String size = size(path, missing);
    String command = "Enlarge it with: mount -o remount,size=%s %s".formatted(size, path);
    return path.equals(SHARED_MEMORY)
        ? command + " (a container's: docker run --shm-size=%s)".formatted(size)
        : command;
  }

  /** What it takes to hold what is in it and what is missing, in whole MiB. */
  private static String size(Path path, long missing) {
    try {
      FileStore store = Files.getFileStore(path);
      long used = store.getTotalSpace() - store.getUnallocatedSpace();
      return Math.ceilDiv(used + missing, 1L << 20) + "m";
    } catch (IOException e) {
      return Math.ceilDiv(missing, 1L << 20) + "m";
    }
  }
}
