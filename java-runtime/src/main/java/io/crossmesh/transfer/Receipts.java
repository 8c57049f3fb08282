package io.crossmesh.transfer;

import java.util.HashMap;
import java.util.Map;

/** The received sets that a process holds. They outlive the channel. */
final class Receipts {
  private record Held(SetPool pool, LandingSet set) {}

  private final Map<Long, Held> held = new HashMap<>();
  private long next = 1;

  /** Hands a set out; the receipt's number. */
  long give(SetPool pool, LandingSet set) {
    pool.receiptOut(set);
    long receipt = next++;
    held.put(receipt, new Held(pool, set));
    return receipt;
  }

  /** Takes a set back; unknown numbers are ignored. */
  void take(long receipt) {
    Held was = held.remove(receipt);
    if (was != null) {
      was.pool.receiptBack(was.set);
    }
  }

  void takeAll() {
    held.values().forEach(was -> was.pool.receiptBack(was.set));
    held.clear();
  }

  boolean isEmpty() {
    return held.isEmpty();
  }
}
