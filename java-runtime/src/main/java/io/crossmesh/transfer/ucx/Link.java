package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport.Handler;
import io.crossmesh.transfer.Transport.SendDone;
import java.lang.foreign.MemorySegment;
import java.net.InetSocketAddress;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;
import org.openucx.jucx.ucp.UcpConstants;
import org.openucx.jucx.ucp.UcpEndpoint;
import org.openucx.jucx.ucp.UcpEndpointErrorHandler;
import org.openucx.jucx.ucp.UcpEndpointParams;

/**
 * The outgoing connection to one peer. Its messages carry its number and their position, because
 * UCX lets messages that it holds back for want of room be overtaken by later ones; the {@link
 * Receiver} restores their order. A message that fails leaves a gap there that nothing fills, so
 * the first failure ends the link.
 *
 * <p>When the engine says so, messages go by a connection that the peer has opened instead; this
 * one then only tells when the peer is gone.
 *
 * <p>It begins with a hello of its own, and both ends prove themselves ({@link Door}). What is sent
 * meanwhile waits here: UCX 1.13 refuses small messages while it connects.
 *
 * <p>It ends in one of two ways. When UCX reports an error it is lost: told once, closed by force.
 * When it is given up it says goodbye, which the peer answers when everything before it has landed
 * there; UCX itself calls a send done when the data has left. A connection that closed without that
 * could take its last messages with it.
 */
final class Link implements UcpEndpointErrorHandler, Ending {
  /** How long a peer that does not answer may keep a goodbye waiting. */
  static final long GOODBYE_NANOS = 2_000_000_000L;

  private static final long RENDEZVOUS = UcpConstants.UCP_AM_SEND_FLAG_RNDV;

  private enum State {
    OPEN,
    LEAVING,
    GONE
  }

  private final int peer;
  private final int eagerBytesMax;
  private final UcxWorker ucx;
  private final Door door;
  private final Handler handler;
  private final Counters counters;
  private final UcpEndpoint endpoint;

  /** The endpoint by which messages go: its own, or one that the peer has opened. */
  private UcpEndpoint way;

  /** Sends that have not ended, in the order in which they were asked for. */
  private final Operations<SendOperation> inFlight = new Operations<>();

  /** Tells this link from any other of any process, until it is let in. */
  private final long id = ThreadLocalRandom.current().nextLong();

  private final byte[] nonce;

  /** What its messages carry once it is let in. */
  private long label;

  private long nextSequence;
  private boolean connected;
  private State state = State.OPEN;
  private boolean unheard;
  private long deadlineNanos;
  private String closeReason = "the peer was given up";

  Link(
      int peer,
      InetSocketAddress address,
      int eagerBytesMax,
      UcxWorker ucx,
      Door door,
      Handler handler,
      Counters counters) {
    this.door = door;
    this.nonce = door.nonce();
    this.eagerBytesMax = eagerBytesMax;
    this.peer = peer;
    this.ucx = ucx;
    this.handler = handler;
    this.counters = counters;
    this.endpoint =
        ucx.worker()
            .newEndpoint(
                new UcpEndpointParams()
                    .setPeerErrorHandlingMode()
                    .setErrorHandler(this)
                    .setSocketAddress(address));
    this.way = endpoint;
    MemorySegment hello = Door.blank();
    Door.put(hello, 0, nonce);
    operation(Receiver.HELLO, nextSequence++, hello, ucx.empty, false, new Heard())
        .post(endpoint, RENDEZVOUS | UcpConstants.UCP_AM_SEND_FLAG_REPLY);
    door.expect(id, this);
  }

  /** The peer answers the hello: it has proved itself, or is none. */
  void answered(byte[] theirs, byte[] proof) {
    var meeting = new ClusterSecret.Meeting(id, nonce, theirs);
    if (state == State.GONE) {
      return;
    }
    if (!ClusterSecret.same(door.secret().ofCalled(meeting), proof)) {
      door.refuse();
      ucx.deferred.later(
          () -> lost("it does not know this cluster's token; start all agents with the same one"));
      return;
    }
    label = door.secret().label(meeting);
    MemorySegment header = Door.blank();
    Door.put(header, 0, door.secret().ofCaller(meeting));
    SendOperation send = operation(Receiver.PROOF, 0, header, ucx.empty, false, new Proof());
    ucx.deferred.later(
        () -> {
          // The link may have ended meanwhile, and its endpoint with it.
          if (!send.ended() && state != State.GONE) {
            send.post(endpoint, RENDEZVOUS);
          }
        });
  }

  /** Sends by an endpoint that the peer has opened from now on, and is lost with it. */
  void answerBy(Acceptor.Incoming incoming) {
    if (state == State.OPEN) {
      incoming.carry(this);
      way = incoming.endpoint();
    }
  }

  boolean open() {
    return state == State.OPEN;
  }

  void send(MemorySegment header, MemorySegment payload, boolean bulk, SendDone done) {
    SendOperation send = operation(Receiver.MESSAGE, nextSequence++, header, payload, bulk, done);
    if (connected) {
      post(send);
    }
  }

  private void post(SendOperation send) {
    send.label(label);
    send.post(way, flags(send));
  }

  private SendOperation operation(
      int message,
      long sequence,
      MemorySegment header,
      MemorySegment payload,
      boolean bulk,
      SendDone done) {
    SendOperation send = ucx.sends.take();
    send.begin(this, message, header, id, sequence, payload, bulk, done);
    inFlight.add(send);
    return send;
  }

  private long flags(SendOperation send) {
    boolean eager = send.message() == Receiver.MESSAGE && send.bytes() <= eagerBytesMax;
    return eager ? UcpConstants.UCP_AM_SEND_FLAG_EAGER : RENDEZVOUS;
  }

  void ended(SendOperation send, @Nullable String failure) {
    inFlight.remove(send);
    if (failure == null && send.message() == Receiver.MESSAGE) {
      counters.sent(peer, send.bulk(), send.bytes());
    } else if (failure != null && state == State.OPEN) {
      ucx.deferred.later(() -> lost(failure));
    }
  }

  /** Called by UCX, inside progress. */
  @Override
  public void onError(UcpEndpoint failed, int status, String message) {
    ucx.deferred.later(() -> lost(message));
  }

  /** Nothing can be sent by it any more. */
  void lost(String reason) {
    boolean told = state != State.OPEN;
    close(false, reason);
    if (!told) {
      ucx.endings.add(this);
      handler.onPeerLost(peer, reason);
    }
  }

  /** Ends at once; nobody is told. */
  void abandon(String reason) {
    if (state == State.OPEN) {
      close(false, reason);
      ucx.endings.add(this);
    }
  }

  /** Begins to say goodbye. */
  void leave() {
    if (state != State.OPEN) {
      return;
    }
    state = State.LEAVING;
    deadlineNanos = System.nanoTime() + GOODBYE_NANOS;
    ucx.endings.add(this);
    SendOperation goodbye =
        operation(Receiver.GOODBYE, nextSequence++, ucx.empty, ucx.empty, false, new Heard());
    if (connected) {
      post(goodbye);
    }
  }

  /** Ends the goodbye when it has been heard or took too long, and then what is left. */
  @Override
  public boolean over(long nowNanos) {
    boolean late = nowNanos - deadlineNanos >= 0;
    if (state == State.LEAVING) {
      if (inFlight.isEmpty()) {
        close(!unheard, closeReason);
      } else if (late) {
        close(false, "the peer did not answer within its time");
      }
      return false;
    }
    if (late) {
      abandonSends();
    }
    return inFlight.isEmpty();
  }

  /** Ends what UCX does not end, though its endpoint is closed, or was never given. */
  private void abandonSends() {
    inFlight.copy().forEach(send -> send.abandon(closeReason));
  }

  private void close(boolean flush, String reason) {
    if (state == State.GONE) {
      return;
    }
    state = State.GONE;
    door.unexpect(id);
    closeReason = reason;
    deadlineNanos = System.nanoTime() + GRACE_NANOS;
    if (flush) {
      ucx.closeFlushing(endpoint);
    } else {
      ucx.closeForcing(endpoint);
    }
    if (!connected) {
      abandonSends();
    }
  }

  /** The peer has the proof: what waited for that goes out in its order. */
  private final class Proof implements SendDone {
    @Override
    public void sent() {
      connected = true;
      if (state != State.GONE) {
        // The hello may not have ended yet, though it was answered.
        inFlight.copy().stream().filter(SendOperation::waits).forEach(Link.this::post);
      }
    }

    @Override
    public void failed(String reason) {
      // The loss of the link tells it.
    }
  }

  /** Tells a flush, which would wait for the peer, from a peer that is known not to answer. */
  private final class Heard implements SendDone {
    @Override
    public void sent() {}

    @Override
    public void failed(String reason) {
      unheard = true;
    }
  }
}
