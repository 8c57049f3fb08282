package io.crossmesh.flight;

import io.crossmesh.mesh.Box;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * One tile in the arena. Counted: the memory goes when the tile was dropped or replaced and the
 * last reader is done, so a reader never sees another tile's bytes.
 */
final class StoredTile implements AutoCloseable {
  private final Box box;
  private final MemorySegment memory;
  private final Runnable release;
  private final AtomicInteger holders = new AtomicInteger(1);

  /**
   * @param memory the tile's bytes, row-major
   * @param release gives the memory back; called once
   */
  StoredTile(Box box, MemorySegment memory, Runnable release) {
    this.box = box;
    this.memory = memory;
    this.release = release;
  }

  Box box() {
    return box;
  }

  MemorySegment memory() {
    return memory;
  }

  /** Takes a share; false when the tile is gone. Each true needs a {@link #close()}. */
  boolean retain() {
    return holders.getAndUpdate(held -> held == 0 ? 0 : held + 1) > 0;
  }

  /** Gives one share back. */
  @Override
  public void close() {
    if (holders.decrementAndGet() == 0) {
      release.run();
    }
  }
}
