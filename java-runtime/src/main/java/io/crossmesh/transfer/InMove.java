package io.crossmesh.transfer;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** One incoming move of one step: which chunks have been seen and which are there. */
final class InMove {
  private final HostMove move;
  private final BitSet seen;
  private final BitSet landed;
  private final long[] checksums;
  private final @Nullable OutMove forward;
  private final List<OutMove> branches = new ArrayList<>();
  private int left;

  /**
   * @param landed filled in here, for those that forward the move
   * @param checksums with which the chunks come, likewise; empty when nobody forwards it
   */
  InMove(HostMove move, BitSet landed, long[] checksums, @Nullable OutMove forward) {
    this.move = move;
    this.seen = new BitSet(move.chunks());
    this.landed = landed;
    this.checksums = checksums;
    this.forward = forward;
    this.left = move.chunks();
  }

  HostMove move() {
    return move;
  }

  /** Notes a chunk that begins to land; false when it was seen before. */
  boolean see(int chunk) {
    if (seen.get(chunk)) {
      return false;
    }
    seen.set(chunk);
    return true;
  }

  /** Notes that a chunk came damaged or broke off: it may come once more. */
  void miss(int chunk) {
    seen.clear(chunk);
  }

  /** The first chunk from this one on that is not there and not landing; as many when none is. */
  int nextUnseen(int chunk) {
    return Math.min(seen.nextClearBit(chunk), move.chunks());
  }

  /** Whether a chunk is there. */
  boolean has(int chunk) {
    return landed.get(chunk);
  }

  /** Whether a chunk is landing. */
  boolean comes(int chunk) {
    return seen.get(chunk) && !landed.get(chunk);
  }

  void land(int chunk, long checksum) {
    landed.set(chunk);
    if (checksums.length > 0) {
      checksums[chunk] = checksum;
    }
    left--;
  }

  /** With which the chunks came, for those that forward the move. */
  long[] checksums() {
    return checksums;
  }

  /** Whether all chunks are there. */
  boolean whole() {
    return left == 0;
  }

  /** Adds a move that sends the slice on when it is whole. */
  void add(OutMove branch) {
    branches.add(branch);
  }

  /** Moves that send the slice on when it is whole. */
  List<OutMove> branches() {
    return branches;
  }

  /** The same move on its way to the next host, if this host forwards it. */
  @Nullable OutMove forward() {
    return forward;
  }
}
