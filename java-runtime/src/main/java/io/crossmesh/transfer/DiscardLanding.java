package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;

/** The landing of what nobody wants. */
final class DiscardLanding implements Transport.Landing {
  @Override
  public boolean ready(Runnable fetch) {
    return true;
  }

  @Override
  public void arrived(MemorySegment payload) {
    // nothing was wanted
  }

  @Override
  public MemorySegment segment() {
    throw new UnsupportedOperationException("a discarded payload has no memory");
  }

  @Override
  public boolean bulk() {
    return false;
  }

  @Override
  public void landed() {
    // nothing was wanted
  }

  @Override
  public void failed(String reason) {
    // nothing was wanted
  }
}
