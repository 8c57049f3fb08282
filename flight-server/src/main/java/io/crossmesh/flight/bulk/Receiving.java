package io.crossmesh.flight.bulk;

import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport.Handler;
import io.crossmesh.transfer.Transport.Landing;
import io.grpc.Status;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** What comes from peers, given to the engine. Everything here is the owner thread's. */
final class Receiving {
  private final OwnerQueue owner;
  private final Handler handler;
  private final Counters counters;
  private final Runnable refused;
  private final Set<Inbound> inbounds = new LinkedHashSet<>();
  private long connections;
  private boolean stopped;

  Receiving(OwnerQueue owner, Handler handler, Counters counters, Runnable refused) {
    this.owner = owner;
    this.handler = handler;
    this.counters = counters;
    this.refused = refused;
  }

  /** A peer has spoken in another's name. */
  void refused() {
    refused.run();
  }

  /** A peer has connected. */
  void begin(Inbound inbound) {
    if (stopped) {
      inbound.close(stopping());
    } else {
      inbounds.add(inbound);
      inbound.begin(++connections);
    }
  }

  void gone(Inbound inbound) {
    inbounds.remove(inbound);
  }

  /** From now on messages are dropped; peers that leave are still answered. */
  void stop() {
    stopped = true;
  }

  /** Ends a connection, if it is there. */
  void sever(long connection) {
    for (Inbound inbound : List.copyOf(inbounds)) {
      if (inbound.connection() == connection) {
        inbound.close(Status.CANCELLED.withDescription("its sender is lost"));
      }
    }
  }

  void closeAll() {
    List.copyOf(inbounds).forEach(inbound -> inbound.close(stopping()));
  }

  private static Status stopping() {
    return Status.UNAVAILABLE.withDescription("the agent is stopping");
  }

  /** A message that has come with its payload. */
  @SuppressWarnings("ReferenceEquality") // DISCARD is the one of its kind
  void small(long connection, MemorySegment header, MemorySegment payload) {
    if (stopped) {
      return;
    }
    long bytes = payload.byteSize();
    Landing landing = handler.onMessage(connection, header, bytes);
    if (bytes == 0) {
      counters.received(false, 0);
    } else if (landing != Landing.DISCARD) {
      counters.received(landing.bulk(), bytes);
      landing.arrived(payload);
    }
  }

  /** Where an announced payload goes. */
  Landing announced(long connection, MemorySegment header, long bytes) {
    if (stopped) {
      return Landing.DISCARD;
    }
    Landing[] landing = {Landing.DISCARD};
    owner.guarded(() -> landing[0] = handler.onMessage(connection, header, bytes));
    return landing[0];
  }

  void ended(Payload payload, @Nullable String failure) {
    if (failure == null) {
      counters.received(payload.landing().bulk(), payload.bytes());
    }
    owner.guarded(() -> payload.tell(failure));
  }
}
