package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** A buffer for one packed chunk. Most chunks are equally long, so the piece in use is kept. */
final class Scratch {
  private final MemorySegment memory;
  private @Nullable MemorySegment piece;

  Scratch(MemorySegment memory) {
    this.memory = memory;
  }

  /** The first {@code length} bytes. */
  MemorySegment of(long length) {
    MemorySegment present = piece;
    if (present == null || present.byteSize() != length) {
      present = memory.asSlice(0, length);
      piece = present;
    }
    return present;
  }
}
