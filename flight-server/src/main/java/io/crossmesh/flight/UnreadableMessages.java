package io.crossmesh.flight;

import io.crossmesh.Code;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells a client which message Arrow cannot read. Left to itself gRPC answers "Application error
 * processing RPC" when a schema has a type that this version of Arrow does not know.
 */
final class UnreadableMessages implements ServerInterceptor {
  private static final Logger LOG = LoggerFactory.getLogger(UnreadableMessages.class);
  private static final Metadata.Key<String> CODE =
      Metadata.Key.of(StatusBridge.METADATA_KEY, Metadata.ASCII_STRING_MARSHALLER);

  @Override
  public <Q, A> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
    ClosedOnce<Q, A> closing = new ClosedOnce<>(call);
    return new Refusing<>(next.startCall(closing, headers), closing);
  }

  /** The call's own thread may end it as well, when it sees that no more comes. */
  private static final class ClosedOnce<Q, A> extends SimpleForwardingServerCall<Q, A> {
    private final AtomicBoolean closed = new AtomicBoolean();

    ClosedOnce(ServerCall<Q, A> call) {
      super(call);
    }

    @Override
    public void close(Status status, Metadata trailers) {
      if (!closed.getAndSet(true)) {
        super.close(status, trailers);
      }
    }
  }

  private static final class Refusing<Q> extends SimpleForwardingServerCallListener<Q> {
    private final ServerCall<Q, ?> call;

    Refusing(ServerCall.Listener<Q> listener, ServerCall<Q, ?> call) {
      super(listener);
      this.call = call;
    }

    @Override
    public void onMessage(Q message) {
      try {
        super.onMessage(message);
      } catch (RuntimeException e) {
        LOG.debug("a Flight message cannot be read", e);
        Metadata trailers = new Metadata();
        trailers.put(CODE, Code.LAYOUT.pythonName());
        call.close(
            Status.INVALID_ARGUMENT.withDescription(
                "%s: the agent cannot read an Arrow message of this call (%s); send one column of a type that docs/flight.md names."
                    .formatted(Code.LAYOUT.pythonName(), e)),
            trailers);
      }
    }
  }
}
