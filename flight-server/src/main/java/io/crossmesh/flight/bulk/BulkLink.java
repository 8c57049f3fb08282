package io.crossmesh.flight.bulk;

import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport.Handler;
import io.crossmesh.transfer.Transport.SendDone;
import io.crossmesh.transfer.WireHeader;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * The outgoing call to one peer. The owner thread puts messages in, and hears what became of them;
 * the call itself is touched by one thread at a time, whichever found something to do.
 *
 * <p>Headers go before payloads: a chunk on its way holds up no grant. gRPC is given a piece only
 * when it has less than {@value #BUFFERED_BYTES} bytes of ours, so the peer's window is what limits
 * memory here.
 *
 * <p>It ends as a link over UCX does: lost, or given up with a goodbye, the half-close, which the
 * peer answers by ending the call when everything has landed there.
 */
final class BulkLink extends ClientCall.Listener<Frame> {
  /** How long a peer that does not answer may keep a goodbye waiting. */
  static final long GOODBYE_NANOS = 2_000_000_000L;

  /** What gRPC may hold of what this link sent before it wants no more. */
  static final int BUFFERED_BYTES = 1 << 20;

  private static final int PIECE_BYTES = 256 << 10;
  private static final int ANSWERS_AHEAD = 64;

  private final int peer;
  private final ManagedChannel channel;
  private final ClientCall<Frame, Frame> call;
  private final Executor executor;
  private final OwnerQueue owner;
  private final Handler handler;
  private final Counters counters;

  private final ConcurrentLinkedQueue<Outgoing> heads = new ConcurrentLinkedQueue<>();
  private final ConcurrentLinkedQueue<Outgoing> bodies = new ConcurrentLinkedQueue<>();
  private final Map<Long, Outgoing> waiting = new ConcurrentHashMap<>();
  private final AtomicInteger wanted = new AtomicInteger();
  private volatile boolean welcome;
  private volatile boolean leaving;
  private volatile @Nullable String dead;
  private boolean halfClosed; // of whoever pumps
  private boolean cancelled;

  // Of the owner thread.
  private long announced;
  private long inFlight;
  private boolean closed;
  private long deadlineNanos;

  BulkLink(
      int peer,
      ManagedChannel channel,
      ClientCall<Frame, Frame> call,
      Executor executor,
      OwnerQueue owner,
      Handler handler,
      Counters counters) {
    this.peer = peer;
    this.channel = channel;
    this.call = call;
    this.executor = executor;
    this.owner = owner;
    this.handler = handler;
    this.counters = counters;
  }

  void start(Metadata headers) {
    call.start(this, headers);
    call.request(ANSWERS_AHEAD);
  }

  boolean open() {
    return !leaving && dead == null;
  }

  void send(MemorySegment header, MemorySegment payload, boolean bulk, SendDone done) {
    long bytes = payload.byteSize();
    boolean small = bytes <= FrameMarshaller.SMALL_BYTES_MAX;
    MemorySegment content =
        MemorySegment.ofArray(new byte[WireHeader.BYTES + (small ? (int) bytes : 0)]);
    MemorySegment.copy(header, 0, content, 0, WireHeader.BYTES);
    if (small) {
      MemorySegment.copy(payload, 0, content, WireHeader.BYTES, bytes);
    }
    Frame head =
        small ? new Frame.Small(content) : new Frame.Announced(announced++, bytes, content);
    inFlight++;
    heads.add(new Outgoing(head, payload, bulk, done));
    kick();
  }

  /** Sends headers on the owner thread, which is fastest, and leaves payloads to another. */
  private void kick() {
    if (wanted.getAndIncrement() == 0) {
      if (dead == null) {
        sendHeads();
      }
      if (bodies.isEmpty() && !leaving && dead == null && wanted.compareAndSet(1, 0)) {
        return;
      }
      executor.execute(this::loop);
    }
  }

  private void pump() {
    if (wanted.getAndIncrement() == 0) {
      loop();
    }
  }

  private void loop() {
    int seen = wanted.get();
    while (seen != 0) {
      turn();
      seen = wanted.addAndGet(-seen);
    }
  }

  private void turn() {
    String reason = dead;
    if (reason != null) {
      failAll(reason);
      return;
    }
    sendHeads();
    for (Outgoing body = bodies.peek(); body != null && ready(); body = bodies.peek()) {
      call.sendMessage(body.nextPiece());
      if (body.whole()) {
        bodies.poll();
        owner.add(body::sent);
      }
      sendHeads();
    }
    if (leaving && !halfClosed && heads.isEmpty() && waiting.isEmpty() && bodies.isEmpty()) {
      halfClosed = true;
      call.halfClose();
    }
  }

  private void sendHeads() {
    while (ready()) {
      Outgoing head = heads.poll();
      if (head == null) {
        return;
      }
      if (head.head instanceof Frame.Announced) {
        waiting.put(head.head.number(), head);
      } else {
        owner.add(head::sent);
      }
      call.sendMessage(head.head);
    }
  }

  private boolean ready() {
    return welcome && call.isReady();
  }

  private void failAll(String reason) {
    if (!cancelled) {
      cancelled = true;
      call.cancel(reason, null);
    }
    for (Outgoing head = heads.poll(); head != null; head = heads.poll()) {
      Outgoing failed = head;
      owner.add(() -> failed.failed(reason));
    }
    for (Outgoing body = bodies.poll(); body != null; body = bodies.poll()) {
      Outgoing failed = body;
      owner.add(() -> failed.failed(reason));
    }
    for (Long number : List.copyOf(waiting.keySet())) {
      Outgoing failed = waiting.remove(number);
      if (failed != null) {
        owner.add(() -> failed.failed(reason));
      }
    }
  }

  /** The peer has let this link in; what was sent meanwhile waited here. */
  @Override
  public void onHeaders(Metadata headers) {
    welcome = true;
    pump();
  }

  @Override
  public void onReady() {
    pump();
  }

  @Override
  public void onMessage(Frame answer) {
    switch (answer) {
      case Frame.Fetch fetch -> {
        Outgoing wantedNow = waiting.get(fetch.number());
        if (wantedNow != null) {
          bodies.add(wantedNow);
          waiting.remove(fetch.number());
        }
      }
      case Frame.Unwanted unwanted -> {
        Outgoing dropped = waiting.remove(unwanted.number());
        if (dropped != null) {
          owner.add(dropped::sent);
        }
      }
      default -> dead = "the peer sent what is none of this protocol";
    }
    call.request(1);
    pump();
  }

  @Override
  public void onClose(Status status, Metadata trailers) {
    String reason = reason(status);
    if (dead == null) {
      dead = reason;
    }
    pump();
    owner.add(() -> closed(reason));
  }

  private static String reason(Status status) {
    String said = status.getDescription() == null ? "" : status.getDescription();
    Throwable cause = status.getCause();
    String because = cause == null ? "" : String.valueOf(cause.getMessage());
    return "%s %s %s".formatted(status.getCode(), said, because).strip();
  }

  private void closed(String reason) {
    closed = true;
    channel.shutdownNow();
    if (!leaving) {
      leaving = true;
      handler.onPeerLost(peer, reason);
    }
  }

  /** Begins to say goodbye. */
  void leave() {
    if (!leaving) {
      leaving = true;
      deadlineNanos = System.nanoTime() + GOODBYE_NANOS;
      executor.execute(this::pump);
    }
  }

  /** Ends at once; nobody is told. */
  void abandon() {
    leaving = true;
    deadlineNanos = System.nanoTime();
  }

  /** Ends a goodbye that takes too long; whether nothing is left. */
  boolean over(long nowNanos) {
    if (!closed && dead == null && nowNanos - deadlineNanos >= 0) {
      dead = "the peer did not answer within its time";
      executor.execute(this::pump);
    }
    return closed && inFlight == 0;
  }

  /** A message until it has been sent. */
  private final class Outgoing {
    private final Frame head;
    private final MemorySegment payload;
    private final boolean bulk;
    private final SendDone done;
    private long at; // of whoever pumps

    Outgoing(Frame head, MemorySegment payload, boolean bulk, SendDone done) {
      this.head = head;
      this.payload = payload;
      this.bulk = bulk;
      this.done = done;
    }

    Frame nextPiece() {
      long count = Math.min(PIECE_BYTES, payload.byteSize() - at);
      Frame piece = new Frame.Piece(head.number(), at, payload.asSlice(at, count));
      at += count;
      return piece;
    }

    boolean whole() {
      return at == payload.byteSize();
    }

    void sent() {
      inFlight--;
      counters.sent(peer, bulk, payload.byteSize());
      done.sent();
    }

    void failed(String reason) {
      inFlight--;
      done.failed(reason);
    }
  }
}
