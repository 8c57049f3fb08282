package io.crossmesh.schedule;

import java.util.Arrays;

/**
 * When the operations and transfers of a run happen, in ticks; -1 where they have not. One can
 * serve several runs, one after the other: a search makes more of them than a young generation
 * holds.
 *
 * @param start of operations, by their number in {@link Tasks}
 * @param end of operations
 * @param sendStart of transfers, by their number in {@link Transfers}
 * @param arrival of transfers
 */
@SuppressWarnings(
    "ArrayRecordComponent") // never compared, and written by loops over all operations
record Instants(long[] start, long[] end, long[] sendStart, long[] arrival) {
  /** Room for the operations of some tasks, and their transfers. */
  static Instants of(Tasks tasks, Transfers transfers) {
    int ops = tasks.count();
    int sent = transfers.count();
    return new Instants(new long[ops], new long[ops], new long[sent], new long[sent]);
  }

  /** Nothing has happened. */
  void clear() {
    Arrays.fill(start, -1);
    Arrays.fill(end, -1);
    Arrays.fill(sendStart, -1);
    Arrays.fill(arrival, -1);
  }
}
