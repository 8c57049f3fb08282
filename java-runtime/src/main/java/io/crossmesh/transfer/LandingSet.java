package io.crossmesh.transfer;

import io.crossmesh.memory.Slot;

/**
 * A set that steps land in. It is in use while a step is granted it, while something is in flight
 * from or to it, and while a receipt for it is out.
 */
final class LandingSet {
  private final Slot slot;
  private final MemorySet memory;
  private int pins;
  private int receipts;
  private boolean granted;
  private boolean promised;

  LandingSet(Slot slot, MemorySet memory) {
    this.slot = slot;
    this.memory = memory;
  }

  MemorySet memory() {
    return memory;
  }

  Slot slot() {
    return slot;
  }

  /** Gives the set to a step. */
  void grant() {
    granted = true;
    promised = true;
  }

  void ungrant() {
    granted = false;
    promised = false;
  }

  /** Whether it will serve another step: it is granted and nobody was handed it yet. */
  boolean promised() {
    return promised;
  }

  /** The first process has it: from now on it comes back only when that process lets it. */
  void handed() {
    promised = false;
  }

  void pin() {
    pins++;
  }

  void unpin() {
    pins--;
  }

  void receiptOut() {
    receipts++;
  }

  void receiptBack() {
    receipts--;
  }

  boolean inUse() {
    return granted || pins > 0 || receipts > 0;
  }
}
