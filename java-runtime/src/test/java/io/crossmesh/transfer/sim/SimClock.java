package io.crossmesh.transfer.sim;

import io.crossmesh.transfer.Clock;

/** Time that moves when the simulation says so. */
public final class SimClock implements Clock {
  private long now = 1_000_000_000L;

  @Override
  public long nanos() {
    return now;
  }

  void advanceTo(long nanos) {
    now = Math.max(now, nanos);
  }
}
