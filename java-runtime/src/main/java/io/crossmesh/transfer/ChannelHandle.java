package io.crossmesh.transfer;

import io.crossmesh.Code;

/**
 * What a process does with its opening of a channel. Thread-safe; no call blocks, answers come
 * through {@link Participant}. Calls after the end are ignored, but for {@link #release}.
 */
public interface ChannelHandle {
  /**
   * Sends the tiles in a staging set.
   *
   * @param step greater than that of the call before, or STEP_MISMATCH
   * @param stagingSet index in {@link OpenInfo#stagingSets}; not one that is still being read
   */
  void send(long step, int stagingSet);

  /**
   * Asks for a step.
   *
   * @param step greater than that of the call before, or STEP_MISMATCH
   */
  void recv(long step);

  /** Gives a received set back; also after the channel's end. Unknown receipts are ignored. */
  void release(long receipt);

  /** Ends a step for all parties. */
  void cancel(long step, Code code, String reason);

  /** Ends the channel for all parties with TRANSFER_CANCELLED and this reason. */
  void abort(String reason);

  /**
   * Takes part in no more steps. Sends that were called are delivered first, within their limit;
   * receives that wait are cancelled; the others get TRANSFER_CANCELLED for steps after the last
   * one called here.
   */
  void close();

  /**
   * The process behind this is gone: the channel ends with PEER_LOST for the others unless it was
   * closed, and every receipt that is out is taken back.
   */
  void participantGone(String reason);
}
