package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.Speaker;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** What a {@link Receiver} knows of one {@link Link} of a peer. */
final class Inbound {
  /** The number that its messages carry. */
  final long link;

  /** The endpoint by which its hello came. */
  final long endpointId;

  /** Whose messages it carries. */
  final Speaker speaker = new Speaker();

  /** Its endpoint is closed: what still comes is dropped. */
  boolean ended;

  /** The position of the message that is due; its hello was the first. */
  long due = 1;

  /** Payloads on their way by rendezvous. */
  int landing;

  /** Messages that overtook the one that is due, by position. */
  final TreeMap<Long, Arrival> early = new TreeMap<>();

  /** A goodbye that waits until every payload before it has landed. */
  @Nullable Arrival goodbye;

  Inbound(long link, long endpointId) {
    this.link = link;
    this.endpointId = endpointId;
  }
}
