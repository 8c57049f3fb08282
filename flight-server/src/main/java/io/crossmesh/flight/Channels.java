package io.crossmesh.flight;

import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.Participant;

/** What the Flight endpoint needs of the transfer engine; thread-safe, never blocks. */
@FunctionalInterface
public interface Channels {
  /** Opens a channel; what comes of it is told to the participant. */
  ChannelHandle open(ChannelOpen request, Participant participant);
}
