package io.crossmesh.transfer;

import java.util.List;

/** What channels and participants ask of the engine that keeps them. */
interface Registry {
  /**
   * Voids the participant's claim everywhere and tells it why, unless it is closed.
   *
   * @param together claims that fail with it for the same reason, also on hosts that have not seen
   *     all of them yet and would wait for this one
   */
  void withdraw(LocalParticipant participant, Failure failure, List<Claim> together);

  /** The channel is over on this host. */
  void over(Channel channel);
}
