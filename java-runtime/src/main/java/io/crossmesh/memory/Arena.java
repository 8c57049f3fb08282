package io.crossmesh.memory;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.FileFailures;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A file in shared memory, mapped whole once, out of which slots are handed to their owners.
 *
 * <p>The file has the size of the budget but is sparse: a page is reserved, really allocated in the
 * file system, before the first slot that touches it is handed out, and stays so. A file system
 * that cannot hold it is thus an error of {@link #allocate} and never a signal in this process or
 * in a trainer that has the same file mapped. The budget is hard: what does not fit is refused,
 * with the names of those who hold the rest.
 *
 * <p>Slots begin at multiples of 64 bytes so that array libraries can use them in place; those of a
 * page or more at multiples of 4096.
 *
 * <p>Thread-safe, and nobody waits for many pages of another: they are reserved without the lock of
 * the slots, in pieces, and in turn. {@link #attempt} is for those who must not wait for pages of
 * their own either. Close it after everything that was given an address of it.
 */
public final class Arena implements AutoCloseable {
  /** The alignment that array libraries ask of memory that they use in place. */
  public static final long ALIGNMENT_BYTES = 64;

  private static final long PAGE_BYTES = 4096;

  private static final int OWNERS_NAMED_MAX = 8;

  private final Path file;
  private final long budget;
  private final java.lang.foreign.Arena mapping;
  private final MemorySegment segment;
  private final Pages pages;
  private final Object lock = new Object();
  private final FreeList free;
  private final Set<Slot> slots = new HashSet<>();
  private long used;
  private int reserving;
  private boolean closed;

  /** What came of an {@link #attempt}. */
  public sealed interface Attempt {}

  /** The bytes are there. */
  public record Got(Slot slot) implements Attempt {}

  /** The budget has no room for them now. */
  public record Full() implements Attempt {}

  /** There is room, but pages have to be reserved first: {@link #allocate} does. */
  public record Cold() implements Attempt {}

  private Arena(
      Path file, long budget, java.lang.foreign.Arena mapping, MemorySegment segment, Pages pages) {
    this.file = file;
    this.budget = budget;
    this.mapping = mapping;
    this.segment = segment;
    this.pages = pages;
    this.free = new FreeList(budget);
  }

  /**
   * Creates the file, which must not exist, with mode 0600.
   *
   * @param file where; on a file system in memory, such as /dev/shm
   * @param budgetBytes the most that slots may take together; rounded down to whole pages
   * @throws CrossmeshException ARENA_FULL if the file cannot be created or mapped
   */
  public static Arena create(Path file, long budgetBytes) {
    return create(
        file,
        budgetBytes,
        (path, channel) ->
            PosixReserver.available()
                ? PosixReserver.open(path)
                : PageReserver.writingZeros(channel));
  }

  /** How the pages of a new arena are reserved. */
  @FunctionalInterface
  interface ReserverFactory {
    PageReserver open(Path file, FileChannel channel) throws IOException;
  }

  // The mapping is closed by close(), as the arena outlives this method.
  @SuppressWarnings("MustBeClosedChecker")
  static Arena create(Path file, long budgetBytes, ReserverFactory reservers) {
    long budget = budgetBytes - Math.floorMod(budgetBytes, PAGE_BYTES);
    if (budget <= 0) {
      throw new CrossmeshException(
          Code.ARENA_FULL,
          "an arena of %d bytes holds nothing; give it at least one page of %d bytes"
              .formatted(budgetBytes, PAGE_BYTES));
    }
    FileChannel channel = newFile(file);
    java.lang.foreign.Arena mapping = java.lang.foreign.Arena.ofShared();
    try {
      MemorySegment segment = channel.map(FileChannel.MapMode.READ_WRITE, 0, budget, mapping);
      PageReserver reserver = reservers.open(file, channel);
      Pages pages = new Pages(file, budget, new WithChannel(reserver, channel));
      return new Arena(file, budget, mapping, segment, pages);
    } catch (IOException | RuntimeException | OutOfMemoryError e) {
      mapping.close();
      closeQuietly(channel);
      deleteQuietly(file);
      throw new CrossmeshException(
          Code.ARENA_FULL,
          "cannot map %d bytes of %s: %s; choose a smaller --arena or another --arena-dir"
              .formatted(budget, file, e.getMessage()),
          e);
    }
  }

  private static FileChannel newFile(Path file) {
    Set<StandardOpenOption> options =
        EnumSet.of(
            StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE);
    try {
      return FileChannel.open(
          file,
          options,
          PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
    } catch (IOException e) {
      throw new CrossmeshException(
          Code.ARENA_FULL,
          "cannot create the arena's file %s: %s; choose another --arena-dir"
              .formatted(file, FileFailures.reason(e)),
          e);
    }
  }

  /**
   * Hands out {@code bytes} bytes; reserves their pages on the calling thread, which takes about a
   * second for 4 GiB.
   *
   * @param bytes how many; 0 is allowed
   * @param owner who will hold them, in the words of the message of a full arena
   * @throws CrossmeshException ARENA_FULL if the budget or the file system cannot hold them
   */
  public Slot allocate(long bytes, String owner) {
    Slot slot;
    synchronized (lock) {
      slot = take(bytes, owner);
      if (slot == null) {
        throw full(bytes, owner);
      }
      reserving++;
    }
    IOException failure = null;
    try {
      pages.reserve(slot.offset(), slot.reservedBytes());
    } catch (IOException e) {
      failure = e;
    } finally {
      synchronized (lock) {
        reserving--;
        lock.notifyAll();
      }
    }
    if (failure != null) {
      slot.close();
      throw unbacked(bytes, owner, failure);
    }
    if (isClosed()) {
      throw new IllegalStateException("the arena " + file + " is closed");
    }
    return slot;
  }

  /**
   * Hands out {@code bytes} bytes if that takes less than a millisecond.
   *
   * @param coldBytesMax how many bytes may lie in pages that have to be reserved
   * @throws CrossmeshException ARENA_FULL if the file system cannot hold such pages
   */
  public Attempt attempt(long bytes, String owner, long coldBytesMax) {
    synchronized (lock) {
      Slot slot = take(bytes, owner);
      if (slot == null) {
        return new Full();
      }
      long cold = pages.cold(slot.offset(), slot.reservedBytes());
      if (cold == 0) {
        return new Got(slot);
      }
      slot.close();
      if (cold > coldBytesMax) {
        return new Cold();
      }
    }
    return new Got(allocate(bytes, owner));
  }

  /** A slot whose pages may not be there; null if there is no room. */
  private @Nullable Slot take(long bytes, String owner) {
    if (bytes < 0) {
      throw new IllegalArgumentException("a slot of " + bytes + " bytes");
    }
    if (closed) {
      throw new IllegalStateException("the arena " + file + " is closed");
    }
    if (bytes > budget) {
      return null;
    }
    long alignment = bytes >= PAGE_BYTES ? PAGE_BYTES : ALIGNMENT_BYTES;
    long length = FreeList.roundUp(Math.max(bytes, 1), alignment);
    long offset = free.take(length, alignment);
    if (offset < 0) {
      return null;
    }
    Slot slot = new Slot(this, offset, bytes, length, owner);
    slots.add(slot);
    used += length;
    return slot;
  }

  private boolean isClosed() {
    synchronized (lock) {
      return closed;
    }
  }

  void release(Slot slot) {
    synchronized (lock) {
      if (slots.remove(slot)) {
        used -= slot.reservedBytes();
        free.give(slot.offset(), slot.reservedBytes());
      }
    }
  }

  private CrossmeshException full(long bytes, String owner) {
    return new CrossmeshException(
        Code.ARENA_FULL,
        ("the arena %s cannot hold %s for %s: its budget is %s, %s are in use and the largest free"
                + " piece is %s; held by %s. Close what is not needed, lower the depth of channels"
                + " or start the agent with a larger --arena")
            .formatted(
                file,
                size(bytes),
                owner,
                size(budget),
                size(used),
                size(free.largest()),
                owners()));
  }

  private CrossmeshException unbacked(long bytes, String owner, IOException cause) {
    String held;
    synchronized (lock) {
      held = owners();
    }
    String room = "of unknown size";
    try {
      FileStore store = Files.getFileStore(file);
      room =
          "%s large with %s free"
              .formatted(size(store.getTotalSpace()), size(store.getUsableSpace()));
    } catch (IOException ignored) {
      // The message says less then; the failure below is what counts.
    }
    return new CrossmeshException(
        Code.ARENA_FULL,
        "the arena %s cannot hold %s for %s: %s, which is %s; held by %s. %s, start the agent with a smaller --arena, or move it with --arena-dir"
            .formatted(
                file,
                size(bytes),
                owner,
                cause.getMessage(),
                room,
                held,
                MountPoint.remedy(file, budget, String.valueOf(cause.getMessage()))),
        cause);
  }

  private String owners() {
    Map<String, Long> held =
        slots.stream()
            .collect(
                Collectors.groupingBy(Slot::owner, Collectors.summingLong(Slot::reservedBytes)));
    if (held.isEmpty()) {
      return "nobody";
    }
    String named =
        held.entrySet().stream()
            .sorted(
                Map.Entry.<String, Long>comparingByValue(Comparator.reverseOrder())
                    .thenComparing(Map.Entry.comparingByKey()))
            .limit(OWNERS_NAMED_MAX)
            .map(entry -> entry.getKey() + " (" + size(entry.getValue()) + ")")
            .collect(Collectors.joining(", "));
    int more = held.size() - OWNERS_NAMED_MAX;
    return more > 0 ? named + " and " + more + " more" : named;
  }

  private static String size(long bytes) {
    return bytes < 1 << 20 ? bytes + " bytes" : "%.1f MiB".formatted(bytes / (double) (1 << 20));
  }

  /** The whole file, {@link #budget()} bytes; only what slots cover may be touched. */
  public MemorySegment segment() {
    return segment;
  }

  /** The file that trainers map. */
  public Path file() {
    return file;
  }

  /** The most that slots may take together, in bytes. */
  public long budget() {
    return budget;
  }

  /** What slots take now, in bytes, their padding included. */
  public long used() {
    synchronized (lock) {
      return used;
    }
  }

  /** Unmaps and deletes the file, whoever still holds a slot; later calls do nothing. */
  @Override
  public void close() {
    synchronized (lock) {
      if (closed) {
        return;
      }
      closed = true;
      pages.stop();
      awaitReservers();
      slots.clear();
      used = 0;
    }
    mapping.close();
    pages.close();
    deleteQuietly(file);
  }

  /** The file stays open until nobody reserves pages of it. */
  private void awaitReservers() {
    boolean interrupted = false;
    while (reserving > 0) {
      try {
        lock.wait();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private static void deleteQuietly(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException ignored) {
      // The directory may be gone already; the agent removes what is left of dead processes.
    }
  }

  private static void closeQuietly(FileChannel channel) {
    try {
      channel.close();
    } catch (IOException ignored) {
      // Nothing was written through it that could be lost.
    }
  }

  /** Closes the channel with the reserver that may write through it. */
  private record WithChannel(PageReserver reserver, FileChannel channel) implements PageReserver {
    @Override
    public void reserve(long offset, long length) throws IOException {
      reserver.reserve(offset, length);
    }

    @Override
    public void close() {
      reserver.close();
      closeQuietly(channel);
    }
  }
}
