package io.crossmesh.transfer;

/** The time of this machine. */
public final class SystemClock implements Clock {
  @Override
  public long nanos() {
    return System.nanoTime();
  }
}
