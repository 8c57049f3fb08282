package io.crossmesh.transfer;

import io.crossmesh.Code;

/**
 * What a channel tells the process behind one opening of it. Called on the owner thread: it must
 * not block and must not throw. Calls of {@link ChannelHandle} are allowed inside.
 *
 * <p>Each {@code send} ends in {@link #onDelivered} or {@link #onStepFailed}, with {@link #onSent}
 * before or instead; each {@code recv} in {@link #onReceived} or {@link #onStepFailed}; unless
 * {@link #onChannelFailed} comes first, after which nothing does.
 */
public interface Participant {
  /** Every host has planned the same and reserved its memory. */
  void onOpen(OpenInfo info);

  /** The staging set may be overwritten. */
  void onSent(long step, int stagingSet);

  /** The step has landed, whole, on every destination host. */
  void onDelivered(long step);

  /**
   * A step is there.
   *
   * @param receipt give it back with {@link ChannelHandle#release} when the set is not needed any
   *     more
   * @param base arena offset of the set
   * @param mustCopy whether the arena has no other set for this channel: copy it out and release it
   *     at once
   */
  void onReceived(long step, long receipt, long base, boolean mustCopy);

  /** This step is over for all parties. */
  void onStepFailed(long step, Code code, String message);

  /** The channel is over, before or after it opened; nothing more will come. */
  void onChannelFailed(Code code, String message);

  /** This participant's {@link ChannelHandle#close()} is done; nothing more will come. */
  void onClosed();
}
