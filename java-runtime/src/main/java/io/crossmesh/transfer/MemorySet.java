package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The memory of a set, and its pieces cut once: the segment of a chunk is made when it is first
 * needed and serves every later step that uses the set.
 */
final class MemorySet {
  private final MemorySegment arena;
  private final long base;
  private final @Nullable MemorySegment[][] chunks;

  MemorySet(MemorySegment arena, long base, int moves) {
    this.arena = arena;
    this.base = base;
    this.chunks = new @Nullable MemorySegment[moves][];
  }

  /** Where the set begins in the arena, in bytes. */
  long base() {
    return base;
  }

  /** The memory of a chunk of a slice that is contiguous in this set. */
  MemorySegment chunk(HostMove move, TilePlace place, int chunk) {
    @Nullable MemorySegment[] ofMove = chunks[move.index()];
    if (ofMove == null) {
      ofMove = new @Nullable MemorySegment[move.chunks()];
      chunks[move.index()] = ofMove;
    }
    MemorySegment segment = ofMove[chunk];
    if (segment == null) {
      segment = arena.asSlice(base + place.at(move.chunkStart(chunk)), move.chunkLength(chunk));
      ofMove[chunk] = segment;
    }
    return segment;
  }

  /** Packs a chunk into {@code out}, which has its size. */
  void pack(HostMove move, TilePlace place, int chunk, MemorySegment out) {
    place
        .layout()
        .pack(arena, base + place.tile(), move.chunkStart(chunk), move.chunkLength(chunk), out, 0);
  }

  /** Unpacks a chunk from {@code in}, which has its size. */
  void unpack(HostMove move, TilePlace place, int chunk, MemorySegment in) {
    place
        .layout()
        .unpack(in, 0, move.chunkStart(chunk), move.chunkLength(chunk), arena, base + place.tile());
  }
}
