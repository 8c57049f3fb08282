package io.crossmesh.transfer;

import org.jspecify.annotations.Nullable;

/**
 * A move as one host sees it. The host originates it when {@link #stager()} is set, receives it
 * when {@link #target()} is, forwards it when {@link #next()} is set without a stager (and without
 * a host before, when another move has brought it); a stager and a target without a next host are a
 * copy inside the host.
 */
final class HostMove {
  /** No stager, or no host before or after this one. */
  static final int NONE = -1;

  private final int index;
  private final int ordinal;
  private final long bytes;
  private final long chunkBytes;
  private final int chunks;
  private final int stager;
  private final @Nullable TilePlace source;
  private final @Nullable TilePlace target;
  private final int previous;
  private final int next;

  /**
   * @param bytes of the slice, with those of the moves that travel with it
   */
  HostMove(
      int index,
      int ordinal,
      long bytes,
      long chunkBytes,
      int stager,
      @Nullable TilePlace source,
      @Nullable TilePlace target,
      int previous,
      int next) {
    this.index = index;
    this.ordinal = ordinal;
    this.bytes = bytes;
    this.chunkBytes = chunkBytes;
    this.chunks = Math.toIntExact(Math.ceilDiv(bytes, chunkBytes));
    this.stager = stager;
    this.source = source;
    this.target = target;
    this.previous = previous;
    this.next = next;
  }

  /** Index in the plan. */
  int index() {
    return index;
  }

  /** Index among the moves of its kind on this host. */
  int ordinal() {
    return ordinal;
  }

  /** Size of the slice in bytes, with those of the moves that travel with it. */
  long bytes() {
    return bytes;
  }

  int chunks() {
    return chunks;
  }

  /** First packed byte of a chunk. */
  long chunkStart(int chunk) {
    return chunk * chunkBytes;
  }

  /** Size of a chunk in bytes. */
  long chunkLength(int chunk) {
    return Math.min(chunkBytes, bytes - chunk * chunkBytes);
  }

  /** Size of the largest chunk in bytes. */
  long chunkBytesMax() {
    return chunkBytes;
  }

  /** Which source participant of this host stages the slice, or {@link #NONE}. */
  int stager() {
    return stager;
  }

  /** Index of the host before this one among {@link HostPlan#upstream()}, or {@link #NONE}. */
  int previous() {
    return previous;
  }

  /** Index of the host after this one among {@link HostPlan#downstream()}, or {@link #NONE}. */
  int next() {
    return next;
  }

  /** Where the slice lies in the staging set. */
  TilePlace source() {
    return present(source, "staged");
  }

  /** Where the slice lies in the landing set. */
  TilePlace target() {
    return present(target, "landed");
  }

  /** From where the slice is sent: the staging set, or for a relay the landing set. */
  TilePlace outgoing() {
    return stager == NONE ? target() : source();
  }

  private TilePlace present(@Nullable TilePlace place, String what) {
    if (place == null) {
      throw new IllegalStateException("move " + index + " is not " + what + " on this host");
    }
    return place;
  }
}
