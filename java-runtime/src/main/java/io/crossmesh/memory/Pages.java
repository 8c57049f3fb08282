package io.crossmesh.memory;

import java.io.IOException;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.concurrent.locks.ReentrantLock;

/**
 * Which pages of an arena's file are reserved. A page that is stays so. Many are reserved piece by
 * piece and in turn, so that who needs a few waits for one piece of another at most. Thread-safe.
 */
final class Pages implements AutoCloseable {
  /** Pages are reserved in runs of this length, so that small slots cost few system calls. */
  private static final long RUN_BYTES = 1 << 16;

  /** So many runs at a time take a few milliseconds; the kernel locks the file meanwhile. */
  private static final int PIECE_RUNS = (int) ((8 << 20) / RUN_BYTES);

  private final Path file;
  private final long budget;
  private final PageReserver reserver;
  private final BitSet reserved = new BitSet();

  /** Held for a piece; fair, as one who reserves many would not let go otherwise. */
  private final ReentrantLock turn = new ReentrantLock(true);

  private volatile boolean stopped;

  /**
   * @param budget size of the file, beyond which nothing is reserved
   * @param reserver closed with this
   */
  Pages(Path file, long budget, PageReserver reserver) {
    this.file = file;
    this.budget = budget;
    this.reserver = reserver;
  }

  /** How many bytes of runs that touch a range are not reserved. */
  long cold(long offset, long length) {
    int first = first(offset);
    int end = end(offset + length);
    synchronized (reserved) {
      int clear = reserved.nextClearBit(first);
      return clear >= end ? 0 : (end - clear - reserved.get(clear, end).cardinality()) * RUN_BYTES;
    }
  }

  /**
   * Reserves all of a range.
   *
   * @throws IOException if the file system has no room for it; less of it may be reserved then
   */
  void reserve(long offset, long length) throws IOException {
    long cold = cold(offset, length);
    // Piece by piece, a file system that is too small would be filled up first.
    if (cold > PIECE_RUNS * RUN_BYTES && cold > file.toFile().getUsableSpace()) {
      throw new IOException("no space left on the file system of " + file);
    }
    int end = end(offset + length);
    for (int at = first(offset); cold > 0 && at < end; at += PIECE_RUNS) {
      turn.lock();
      try {
        reservePiece(at, Math.min(at + PIECE_RUNS, end));
      } finally {
        turn.unlock();
      }
    }
  }

  private void reservePiece(int first, int end) throws IOException {
    for (int at = nextCold(first); at < end; at = nextCold(at)) {
      if (stopped) {
        throw new IOException("the arena " + file + " is closed");
      }
      int stop = Math.min(nextWarm(at, end), end);
      long from = at * RUN_BYTES;
      reserver.reserve(from, Math.min(stop * RUN_BYTES, budget) - from);
      synchronized (reserved) {
        reserved.set(at, stop);
      }
    }
  }

  private int nextCold(int run) {
    synchronized (reserved) {
      return reserved.nextClearBit(run);
    }
  }

  private int nextWarm(int run, int otherwise) {
    synchronized (reserved) {
      int next = reserved.nextSetBit(run);
      return next < 0 ? otherwise : next;
    }
  }

  private static int first(long offset) {
    return (int) (offset / RUN_BYTES);
  }

  private static int end(long end) {
    return (int) Math.ceilDiv(end, RUN_BYTES);
  }

  /** Whoever reserves many gives up after the present piece. */
  void stop() {
    stopped = true;
  }

  /** Nobody reserves any more. */
  @Override
  public void close() {
    reserver.close();
  }
}
