package io.crossmesh.transfer;

import io.crossmesh.Code;

/** A participant that nothing is told. */
final class NoParticipant implements Participant {
  @Override
  public void onOpen(OpenInfo info) {
    throw new AssertionError("opened");
  }

  @Override
  public void onSent(long step, int stagingSet) {
    throw new AssertionError("sent");
  }

  @Override
  public void onDelivered(long step) {
    throw new AssertionError("delivered");
  }

  @Override
  public void onReceived(long step, long receipt, long base, boolean mustCopy) {
    throw new AssertionError("received");
  }

  @Override
  public void onStepFailed(long step, Code code, String message) {
    throw new AssertionError(message);
  }

  @Override
  public void onChannelFailed(Code code, String message) {
    throw new AssertionError(message);
  }

  @Override
  public void onClosed() {
    throw new AssertionError("closed");
  }
}
