package io.crossmesh.transfer;

/** What channels and participants ask of the engine that keeps them. */
interface Registry {
  /** Voids the participant's claim everywhere and tells it why, unless it is closed. */
  void withdraw(LocalParticipant participant, Failure failure);

  /** The channel is over on this host. */
  void over(Channel channel);
}
