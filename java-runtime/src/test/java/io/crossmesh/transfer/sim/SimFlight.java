package io.crossmesh.transfer.sim;

import io.crossmesh.transfer.Transport.Landing;
import io.crossmesh.transfer.Transport.SendDone;
import java.lang.foreign.MemorySegment;

/** A message on its way through the simulated network; it ends once, and lands once. */
final class SimFlight {
  private final SimTransport from;
  private final int peer;
  private final long connection;
  private final MemorySegment payload;
  private final boolean bulk;
  private final SendDone done;
  private Landing landing = Landing.DISCARD;
  private boolean landed;
  private boolean ended;

  SimFlight(
      SimTransport from,
      int peer,
      long connection,
      MemorySegment payload,
      boolean bulk,
      SendDone done) {
    this.from = from;
    this.peer = peer;
    this.connection = connection;
    this.payload = payload;
    this.bulk = bulk;
    this.done = done;
  }

  SimTransport from() {
    return from;
  }

  int peer() {
    return peer;
  }

  long connection() {
    return connection;
  }

  /** Whether it is on a cable that was pulled. */
  boolean isStuck(SimTransport to) {
    return from.isCutOff() || to.isCutOff();
  }

  void landsAt(Landing place) {
    landing = place;
  }

  boolean hasLanded() {
    return landed;
  }

  /** Its payload is there, or will not come; where. */
  Landing land() {
    landed = true;
    return landing;
  }

  boolean hasEnded() {
    return ended;
  }

  void sent() {
    if (!ended && !from.isDead()) {
      ended = true;
      from.ended(this);
      from.counters().sent(peer, bulk, payload.byteSize());
      done.sent();
    }
  }

  void failed(String reason) {
    if (!ended && !from.isDead()) {
      ended = true;
      from.ended(this);
      done.failed(reason);
    }
  }
}
