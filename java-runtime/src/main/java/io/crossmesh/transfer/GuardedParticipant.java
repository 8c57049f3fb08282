package io.crossmesh.transfer;

import io.crossmesh.Code;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps a mistake of a participant from tearing the engine out of the middle of a transition: what
 * it throws is logged and goes no further.
 */
final class GuardedParticipant implements Participant {
  private static final Logger LOG = LoggerFactory.getLogger(GuardedParticipant.class);

  private final Participant process;

  GuardedParticipant(Participant process) {
    this.process = process;
  }

  private static void failed(RuntimeException e) {
    LOG.error("a participant of a channel threw what it must not", e);
  }

  @Override
  public void onOpen(OpenInfo info) {
    try {
      process.onOpen(info);
    } catch (RuntimeException e) {
      failed(e);
    }
  }

  @Override
  public void onSent(long step, int stagingSet) {
    try {
      process.onSent(step, stagingSet);
    } catch (RuntimeException e) {
      failed(e);
    }
  }

  @Override
  public void onDelivered(long step) {
    try {
      process.onDelivered(step);
    } catch (RuntimeException e) {
      failed(e);
    }
  }

  @Override
  public void onReceived(long step, long receipt, long base, boolean mustCopy) {
    try {
      process.onReceived(step, receipt, base, mustCopy);
    } catch (RuntimeException e) {
      failed(e);
    }
  }

  @Override
  public void onStepFailed(long step, Code code, String message) {
    try {
      process.onStepFailed(step, code, message);
    } catch (RuntimeException e) {
      failed(e);
    }
  }

  @Override
  public void onChannelFailed(Code code, String message) {
    try {
      process.onChannelFailed(code, message);
    } catch (RuntimeException e) {
      failed(e);
    }
  }

  @Override
  public void onClosed() {
    try {
      process.onClosed();
    } catch (RuntimeException e) {
      failed(e);
    }
  }
}
