package io.crossmesh.flight.bulk;

import io.crossmesh.transfer.Speaker;
import io.crossmesh.transfer.Transport.Landing;
import io.crossmesh.transfer.WireHeader;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.Status;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/**
 * The receiving end of one {@link BulkLink} of a peer. Frames come on a thread of gRPC, one after
 * the other; answers and the end are the owner thread's.
 *
 * <p>What waits for the owner thread is bounded: when {@value #QUEUED_MAX} messages do, no more are
 * taken from the call, and its window stops the sender. So is what is announced.
 */
final class Inbound extends ServerCall.Listener<Frame> {
  /** How many messages gRPC may have ready for us. */
  private static final int AHEAD = 8;

  private static final int QUEUED_MAX = 256;
  private static final int ANNOUNCED_MAX = 1 << 16;

  private final ServerCall<Frame, Frame> call;
  private final Receiving receiving;
  private final OwnerQueue owner;
  private final AtomicInteger queued = new AtomicInteger();
  private final Map<Long, Payload> fetched = new ConcurrentHashMap<>();
  private long announced; // of gRPC's thread

  // Of the owner thread.
  private long connection;
  private final Set<Payload> open = new LinkedHashSet<>();
  private final Speaker speaker = new Speaker();
  private boolean leaving;
  private boolean closed;

  Inbound(ServerCall<Frame, Frame> call, Receiving receiving, OwnerQueue owner) {
    this.call = call;
    this.receiving = receiving;
    this.owner = owner;
  }

  /**
   * Begins to take frames.
   *
   * @param number that no other connection has
   */
  void begin(long number) {
    connection = number;
    call.sendHeaders(new Metadata());
    call.request(AHEAD);
  }

  long connection() {
    return connection;
  }

  @Override
  public void onMessage(Frame frame) {
    switch (frame) {
      case Frame.Small small -> queue(() -> small(small.content()));
      case Frame.Announced message -> {
        if (message.number() != announced++ || message.value() == 0) {
          refuse("message %d was announced out of turn".formatted(message.number()));
        } else {
          queue(() -> announced(message));
        }
      }
      case Frame.PieceIn piece -> {
        try (piece) {
          piece(piece);
        } catch (IOException e) {
          refuse(String.valueOf(e.getMessage()));
        }
      }
      default -> refuse("an answer where none was asked for");
    }
  }

  private void queue(Runnable message) {
    boolean more = queued.incrementAndGet() < QUEUED_MAX;
    owner.add(
        () -> {
          if (queued.getAndDecrement() >= QUEUED_MAX) {
            call.request(1);
          }
          message.run();
        });
    if (more) {
      call.request(1);
    }
  }

  private void piece(Frame.PieceIn piece) throws IOException {
    Payload payload = fetched.get(piece.number());
    if (payload == null) {
      throw new IOException("a piece that nobody has asked for");
    }
    if (payload.write(piece)) {
      fetched.remove(piece.number());
      owner.add(() -> end(payload, null));
    }
    call.request(1);
  }

  private void refuse(String why) {
    owner.add(
        () ->
            close(
                Status.INVALID_ARGUMENT.withDescription(
                    "%s; run one version of crossmesh on all hosts.".formatted(why))));
  }

  private void small(MemorySegment content) {
    if (!closed && isOfItsSender(content)) {
      receiving.small(
          connection,
          content.asSlice(0, WireHeader.BYTES),
          content.asSlice(WireHeader.BYTES, content.byteSize() - WireHeader.BYTES));
    }
  }

  /** Whether a message is of the agent that this call is of; another's ends the call. */
  private boolean isOfItsSender(MemorySegment header) {
    boolean own = speaker.says(header);
    if (!own) {
      receiving.refused();
      close(Status.PERMISSION_DENIED.withDescription("a message in another agent's name"));
    }
    return own;
  }

  @SuppressWarnings("ReferenceEquality") // DISCARD is the one of its kind
  private void announced(Frame.Announced message) {
    if (closed || !isOfItsSender(message.content())) {
      return;
    }
    if (open.size() >= ANNOUNCED_MAX) {
      close(Status.RESOURCE_EXHAUSTED.withDescription("too many messages are announced"));
      return;
    }
    Landing landing = receiving.announced(connection, message.content(), message.value());
    if (landing == Landing.DISCARD) {
      call.sendMessage(new Frame.Unwanted(message.number()));
      return;
    }
    Payload payload = new Payload(this, landing, message.number(), message.value());
    open.add(payload);
    owner.guarded(
        () -> {
          if (landing.ready(payload)) {
            payload.run();
          }
        });
  }

  /** Asks for a payload whose place is known. */
  void fetch(Payload payload) {
    fetched.put(payload.number(), payload);
    call.sendMessage(new Frame.Fetch(payload.number()));
  }

  private void end(Payload payload, @Nullable String failure) {
    if (payload.end()) {
      open.remove(payload);
      receiving.ended(payload, failure);
      if (leaving && open.isEmpty()) {
        close(Status.OK);
      }
    }
  }

  /** The sender has said all it had to say. */
  @Override
  public void onHalfClose() {
    owner.add(
        () -> {
          leaving = true;
          if (open.isEmpty()) {
            close(Status.OK);
          }
        });
  }

  @Override
  public void onCancel() {
    owner.add(() -> gone("the connection to its sender is lost"));
  }

  @Override
  public void onComplete() {
    owner.add(() -> gone("its sender has closed the connection"));
  }

  /** Ends the call; what is on its way in it fails. By the owner thread. */
  void close(Status status) {
    if (!closed) {
      closed = true;
      call.close(status, new Metadata());
      gone(String.valueOf(status.getDescription()));
    }
  }

  private void gone(String reason) {
    closed = true;
    fetched.clear();
    for (Payload payload : List.copyOf(open)) {
      end(payload, reason);
    }
    receiving.gone(this);
  }
}
