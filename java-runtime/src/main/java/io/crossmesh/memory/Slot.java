package io.crossmesh.memory;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * A range of an {@link Arena} that one owner holds until {@link #close()}. Its content is whatever
 * the last owner left there.
 */
public final class Slot implements AutoCloseable {
  private final Arena arena;
  private final long offset;
  private final long bytes;
  private final long reservedBytes;
  private final String owner;
  private final AtomicBoolean closed = new AtomicBoolean();

  Slot(Arena arena, long offset, long bytes, long reservedBytes, String owner) {
    this.arena = arena;
    this.offset = offset;
    this.bytes = bytes;
    this.reservedBytes = reservedBytes;
    this.owner = owner;
  }

  /** Where it begins in the arena's file, in bytes; a multiple of 64, of 4096 from one page up. */
  public long offset() {
    return offset;
  }

  /** How many bytes were asked for. */
  public long bytes() {
    return bytes;
  }

  /** How many bytes of the budget it takes, its padding included. */
  long reservedBytes() {
    return reservedBytes;
  }

  /** Who holds it, for the message of a full arena. */
  public String owner() {
    return owner;
  }

  /**
   * Its {@link #bytes()} bytes.
   *
   * @throws IllegalStateException if it was closed: the bytes may be another owner's by now
   */
  public MemorySegment segment() {
    if (closed.get()) {
      throw new IllegalStateException("the slot of " + owner + " is closed");
    }
    return arena.segment().asSlice(offset, bytes);
  }

  /** Gives the bytes back; later calls do nothing. */
  @Override
  public void close() {
    if (closed.compareAndSet(false, true)) {
      arena.release(this);
    }
  }

  @Override
  public String toString() {
    return "Slot[" + offset + ".." + (offset + bytes) + " of " + owner + "]";
  }
}
