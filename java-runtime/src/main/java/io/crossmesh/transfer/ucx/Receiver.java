package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport.Handler;
import io.crossmesh.transfer.Transport.Landing;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.List;
import org.jctools.maps.NonBlockingHashMapLong;
import org.jspecify.annotations.Nullable;
import org.openucx.jucx.ucp.UcpAmData;
import org.openucx.jucx.ucp.UcpAmRecvCallback;
import org.openucx.jucx.ucp.UcpConstants;
import org.openucx.jucx.ucp.UcpEndpoint;
import org.openucx.jucx.ucs.UcsConstants;

/**
 * Takes active messages and gives them to the engine in the order in which each {@link Link} sent
 * them. A small payload has come with its header and is copied to where the engine wants it; a
 * large one waits at the sender and is written there by UCX. A large one that nobody wants is never
 * fetched.
 */
final class Receiver {
  /** Active message of the engine. */
  static final int MESSAGE = 0;

  /** Active message of a new {@link Link}. */
  static final int HELLO = 1;

  /** Active message of a {@link Link} that is given up; taking it says that all has landed. */
  static final int GOODBYE = 2;

  /** Active message of the one who was called by a {@link Link}. */
  static final int ANSWER = 3;

  /** Active message of a {@link Link} that was answered; taking it says that it is let in. */
  static final int PROOF = 4;

  private final UcxWorker ucx;
  private final Door door;
  private final Handler handler;
  private final Counters counters;
  private final Arrival arrival;

  // A map of numbers that are not boxed: it is asked for each message.
  private final NonBlockingHashMapLong<Inbound> inbounds = new NonBlockingHashMapLong<>();

  private final Operations<ReceiveOperation> inFlight = new Operations<>();
  private final ArrayDeque<ReceiveOperation> idle = new ArrayDeque<>();

  // JUCX holds handlers weakly, so they are fields.
  private final UcpAmRecvCallback onMessage =
      (header, bytes, data, replyTo) -> onReceive(MESSAGE, header, bytes, data, null);
  private final UcpAmRecvCallback onHello =
      (header, bytes, data, replyTo) -> onReceive(HELLO, header, bytes, data, replyTo);
  private final UcpAmRecvCallback onGoodbye =
      (header, bytes, data, replyTo) -> onReceive(GOODBYE, header, bytes, data, null);

  private final UcpAmRecvCallback onAnswer =
      (header, bytes, data, replyTo) -> onReceive(ANSWER, header, bytes, data, null);
  private final UcpAmRecvCallback onProof =
      (header, bytes, data, replyTo) -> onReceive(PROOF, header, bytes, data, null);

  private boolean stopped;

  Receiver(UcxWorker ucx, Door door, Handler handler, Counters counters) {
    this.ucx = ucx;
    this.door = door;
    this.handler = handler;
    this.counters = counters;
    this.arrival = new Arrival(ucx.memory.allocate(Frame.BYTES, 64));
  }

  void start() {
    ucx.worker().setAmRecvHandler(MESSAGE, onMessage, UcpConstants.UCP_AM_FLAG_WHOLE_MSG);
    ucx.worker().setAmRecvHandler(HELLO, onHello, UcpConstants.UCP_AM_FLAG_WHOLE_MSG);
    ucx.worker().setAmRecvHandler(GOODBYE, onGoodbye, UcpConstants.UCP_AM_FLAG_WHOLE_MSG);
    ucx.worker().setAmRecvHandler(ANSWER, onAnswer, UcpConstants.UCP_AM_FLAG_WHOLE_MSG);
    ucx.worker().setAmRecvHandler(PROOF, onProof, UcpConstants.UCP_AM_FLAG_WHOLE_MSG);
  }

  /** From now on messages are dropped; goodbyes are still answered. */
  void stop() {
    stopped = true;
  }

  /** Marks the links that came by an endpoint as ended, and names them. */
  List<Inbound> endInbounds(long endpointId) {
    door.ended(endpointId);
    List<Inbound> ended =
        inbounds.values().stream().filter(inbound -> inbound.endpointId == endpointId).toList();
    ended.forEach(inbound -> inbound.ended = true);
    return ended;
  }

  /** The endpoint by which a link came that was let in and has not ended; 0 for another. */
  long endpointOf(long link) {
    Inbound inbound = inbounds.get(link);
    return inbound == null ? 0 : inbound.endpointId;
  }

  /** Whether an endpoint's link was let in and has not ended. */
  boolean knows(long endpointId) {
    return inbounds.values().stream().anyMatch(inbound -> inbound.endpointId == endpointId);
  }

  /** Ends what UCX has not ended though the endpoint is closed. */
  void abandon(Inbound inbound, String reason) {
    for (ReceiveOperation receive : inFlight.copy()) {
      if (receive.inbound().link == inbound.link) {
        receive.end(reason);
      }
    }
  }

  /** Forgets an ended link; false if payloads of it may still come. */
  boolean forget(Inbound inbound) {
    if (inbound.landing > 0) {
      return false;
    }
    leave(inbound);
    inbound.early.values().forEach(this::release);
    inbound.early.clear();
    answerGoodbye(inbound);
    return true;
  }

  /** Ends everything. */
  void abandonAll(String reason) {
    for (Inbound inbound : List.copyOf(inbounds.values())) {
      abandon(inbound, reason);
      forget(inbound);
    }
  }

  private int onReceive(
      int message,
      long headerAddress,
      long headerBytes,
      UcpAmData data,
      @Nullable UcpEndpoint replyTo) {
    // What is not the size of a header comes from a stranger; it is dropped like garbage in one.
    if (headerBytes != Frame.BYTES) {
      return UcsConstants.STATUS.UCS_OK;
    }
    try {
      arrival.take(message, headerAddress, data);
      long link = arrival.link();
      if (message != MESSAGE && message != GOODBYE) {
        meet(message, link, arrival.header(), replyTo);
        return UcsConstants.STATUS.UCS_OK;
      }
      Inbound inbound = inbounds.get(link);
      if (inbound == null) {
        door.stranger(link);
        return UcsConstants.STATUS.UCS_OK;
      }
      boolean kept = !inbound.ended && order(inbound);
      return kept ? UcsConstants.STATUS.UCS_INPROGRESS : UcsConstants.STATUS.UCS_OK;
    } catch (Throwable e) {
      ucx.deferred.caught(e);
      return UcsConstants.STATUS.UCS_OK;
    }
  }

  /** What comes of a connection before it is let in. */
  private void meet(int message, long link, MemorySegment header, @Nullable UcpEndpoint replyTo) {
    switch (message) {
      case HELLO -> {
        if (replyTo == null) {
          door.refuse();
        } else if (!stopped) {
          door.greet(link, header, replyTo);
        }
      }
      case ANSWER -> door.answered(link, header);
      default -> {
        Door.Admitted admitted = door.admit(link, header);
        if (admitted != null) {
          inbounds.put(admitted.label(), new Inbound(admitted.label(), admitted.endpointId()));
        }
      }
    }
  }

  /** Delivers what is due; true if UCX must keep the payload at the sender after its callback. */
  private boolean order(Inbound inbound) {
    long sequence = arrival.sequence();
    if (sequence != inbound.due) {
      if (sequence < inbound.due) {
        return false;
      }
      inbound.early.put(sequence, arrival.kept());
      return arrival.rendezvous();
    }
    inbound.due++;
    boolean kept = deliver(inbound, arrival) == Fate.KEPT;
    while (!inbound.early.isEmpty() && inbound.early.firstKey() == inbound.due) {
      inbound.due++;
      Arrival next = inbound.early.pollFirstEntry().getValue();
      if (deliver(inbound, next) == Fate.DROPPED) {
        release(next);
      }
    }
    return kept;
  }

  /** What became of a payload that waits at its sender. */
  private enum Fate {
    FETCHED,
    DROPPED,
    KEPT
  }

  private Fate deliver(Inbound inbound, Arrival due) {
    if (due.message() == GOODBYE) {
      return depart(inbound, due);
    }
    try {
      return stopped ? Fate.DROPPED : land(inbound, due);
    } catch (Throwable e) {
      ucx.deferred.caught(e);
      return Fate.DROPPED;
    }
  }

  private Fate depart(Inbound inbound, Arrival goodbye) {
    if (inbound.landing > 0) {
      inbound.goodbye = goodbye.kept();
      return Fate.KEPT;
    }
    leave(inbound);
    return Fate.DROPPED;
  }

  @SuppressWarnings("ReferenceEquality") // DISCARD is the one of its kind
  private Fate land(Inbound inbound, Arrival due) {
    if (!inbound.speaker.says(due.header())) {
      door.refuse();
      return Fate.DROPPED;
    }
    long bytes = due.bytes();
    Landing landing = handler.onMessage(inbound.link, due.header(), bytes);
    if (bytes == 0) {
      counters.received(false, 0);
      return Fate.DROPPED;
    }
    if (landing == Landing.DISCARD) {
      return Fate.DROPPED;
    }
    if (due.rendezvous()) {
      return fetch(inbound, landing, due);
    }
    counters.received(landing.bulk(), bytes);
    landing.arrived(due.payload());
    return Fate.DROPPED;
  }

  private Fate fetch(Inbound inbound, Landing landing, Arrival due) {
    ReceiveOperation receive = idle.isEmpty() ? new ReceiveOperation(this) : idle.pop();
    receive.begin(landing, due, inbound);
    inFlight.add(receive);
    inbound.landing++;
    if (!landing.ready(receive)) {
      return Fate.KEPT;
    }
    receive.run();
    return Fate.FETCHED;
  }

  UcxWorker worker() {
    return ucx;
  }

  /** Takes back an operation that UCX has ended. */
  void reuse(ReceiveOperation receive) {
    idle.push(receive);
  }

  void ended(ReceiveOperation receive, Landing landing, @Nullable String failure) {
    inFlight.remove(receive);
    Inbound inbound = receive.inbound();
    if (--inbound.landing == 0 && inbound.goodbye != null) {
      ucx.deferred.later(() -> answerGoodbye(inbound));
    }
    try {
      if (failure == null) {
        counters.received(landing.bulk(), receive.bytes());
        landing.landed();
      } else {
        landing.failed(failure);
      }
    } catch (Throwable e) {
      ucx.deferred.caught(e);
    }
  }

  private void leave(Inbound inbound) {
    inbounds.remove(inbound.link);
    door.forget(inbound.link);
  }

  private void answerGoodbye(Inbound inbound) {
    Arrival goodbye = inbound.goodbye;
    inbound.goodbye = null;
    if (goodbye != null) {
      leave(inbound);
      release(goodbye);
    }
  }

  /** Tells the sender of a payload that is kept there that it will not be fetched. */
  private void release(Arrival kept) {
    if (kept.rendezvous()) {
      release(kept.handle());
    }
  }

  void release(long handle) {
    ucx.worker().amDataRelease(handle);
  }
}
