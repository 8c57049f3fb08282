package io.crossmesh.transfer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.zip.CRC32;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * Works out digests of slices where they lie in sets of one host, a bounded number of bytes at a
 * turn, so that the network never waits long for them.
 *
 * <p>A digest is the CRC32C of the packed slice, and its CRC32 beside it: 64 bits, half of which
 * are of another polynomial than the checksum of a chunk, so that what passes there by chance does
 * not pass here.
 */
final class Digests {
  /** Who asks for digests. */
  interface Wanted {
    /** Whether nothing is asked for any more; the memory may then be another step's. */
    boolean over();

    void done(HostMove move, long digest);
  }

  private record Task(Wanted by, HostMove move, TilePlace place, MemorySet set) {}

  private final Channel channel;
  private final CRC32C crc32c = new CRC32C();
  private final CRC32 crc32 = new CRC32();
  private final ArrayDeque<Task> tasks = new ArrayDeque<>();
  private @Nullable MemorySegment packed;
  private int next;

  Digests(Channel channel) {
    this.channel = channel;
  }

  /** Asks for the digest of what a move reads or writes at a place in a set. */
  void add(Wanted by, HostMove move, TilePlace place, MemorySet set) {
    tasks.add(new Task(by, move, place, set));
    channel.wake();
  }

  boolean idle() {
    return tasks.isEmpty();
  }

  /** Reads up to about {@code limit} bytes; the number of chunks. */
  int pump(long limit) {
    int read = 0;
    long left = limit;
    for (Task task = tasks.peek(); task != null && left > 0; task = tasks.peek()) {
      if (task.by.over()) {
        drop();
      } else if (next < task.move.chunks()) {
        add(task, next);
        left -= task.move.chunkLength(next);
        next++;
        read++;
      } else {
        long digest = crc32c.getValue() << Integer.SIZE | crc32.getValue();
        drop();
        task.by.done(task.move, digest);
      }
    }
    return read;
  }

  private void drop() {
    tasks.poll();
    next = 0;
    crc32c.reset();
    crc32.reset();
  }

  private void add(Task task, int chunk) {
    ByteBuffer bytes = bytes(task, chunk).asByteBuffer();
    crc32c.update(bytes);
    crc32.update(bytes.flip());
  }

  private MemorySegment bytes(Task task, int chunk) {
    if (task.place.contiguous()) {
      return task.set.chunk(task.move, task.place, chunk);
    }
    long length = task.move.chunkLength(chunk);
    MemorySegment room = packed;
    if (room == null || room.byteSize() < length) {
      room = Arena.ofAuto().allocate(task.move.chunkBytesMax(), 8);
      packed = room;
    }
    MemorySegment piece = room.asSlice(0, length);
    task.set.pack(task.move, task.place, chunk, piece);
    return piece;
  }
}
