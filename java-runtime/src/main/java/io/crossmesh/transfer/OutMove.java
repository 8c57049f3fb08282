package io.crossmesh.transfer;

import java.util.BitSet;
import org.jspecify.annotations.Nullable;

/**
 * One move of one step on its way to the next host, sent in order of its chunks. That of a relay
 * has only the chunks that have landed; one that begins where another ends, none until all have.
 */
final class OutMove implements Comparable<OutMove> {
  /** Who is told what becomes of the chunks; it keeps the set's memory until none is in flight. */
  interface Owner {
    void chunkPosted();

    /** A chunk has left or never will; {@code last} when nothing more of the move will leave. */
    void chunkSent(boolean last);

    /** Nothing of the move that has not left will leave. */
    void abandoned();

    /** Whether the step is over, so that nothing more may be posted. */
    boolean over();
  }

  private final Owner owner;
  private final long step;
  private final HostMove move;
  private final MemorySet set;
  private final @Nullable BitSet landed;
  private final long[] checksums;
  private int next;
  private int left;
  private boolean queued;
  private boolean begins;

  /**
   * @param landed the chunks that are there, filled in by the owner; null when all are
   * @param checksums with which the chunks came, filled in likewise; empty when they are from here
   */
  OutMove(
      Owner owner,
      long step,
      HostMove move,
      MemorySet set,
      @Nullable BitSet landed,
      long[] checksums) {
    this.owner = owner;
    this.step = step;
    this.move = move;
    this.set = set;
    this.landed = landed;
    this.checksums = checksums;
    this.left = move.chunks();
  }

  Owner owner() {
    return owner;
  }

  long step() {
    return step;
  }

  HostMove move() {
    return move;
  }

  MemorySet set() {
    return set;
  }

  /** Whether the next chunk can be sent. */
  boolean ready() {
    return next < move.chunks() && (landed == null || landed.get(next));
  }

  /** Whether its next chunk tells the next host that this one begins the step. */
  boolean begins() {
    return begins;
  }

  void begins(boolean now) {
    begins = now;
  }

  /** With which checksum a chunk came here, so that it covers all of the way; else none. */
  long checksum(int chunk) {
    return checksums.length == 0 ? Checksums.NONE : checksums[chunk];
  }

  /** All chunks are there. */
  void landWhole() {
    if (landed != null) {
      landed.set(0, move.chunks());
    }
  }

  int takeNext() {
    return next++;
  }

  /** Counts a chunk that has left; whether it was the last. */
  boolean settle() {
    return --left == 0;
  }

  /** The next host is lost: no more chunks are sent. Whether none is on its way either. */
  boolean abandon() {
    int kept = move.chunks() - next;
    next = move.chunks();
    left -= kept;
    return kept > 0 && left == 0;
  }

  boolean queued() {
    return queued;
  }

  void queued(boolean now) {
    queued = now;
  }

  /** Earlier steps first, then as in the plan. */
  @Override
  public int compareTo(OutMove other) {
    int byStep = Long.compare(step, other.step);
    return byStep != 0 ? byStep : Integer.compare(move.index(), other.move.index());
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }
}
