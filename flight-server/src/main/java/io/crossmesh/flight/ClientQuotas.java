package io.crossmesh.flight;

import io.crossmesh.Code;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.ForwardingServerCallListener.SimpleForwardingServerCallListener;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.security.cert.Certificate;
import java.security.cert.X509Certificate;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;
import org.apache.arrow.flight.CallStatus;

/**
 * Keeps each client of the Flight door within its {@link Quotas}. A client is whoever shows a
 * certificate, by its subject; without certificates it is an address, with all processes behind it:
 * the token is the same for all. What is over a quota is refused at once, holds nothing, and may be
 * asked again.
 *
 * <p>The agents' streams at the same door are none of its business: their number is that of the
 * peers.
 */
final class ClientQuotas implements ServerInterceptor {
  private static final String FLIGHT = "arrow.flight.protocol.FlightService";
  private static final Context.Key<String> CLIENT = Context.key("crossmesh-client");
  private static final Metadata.Key<String> CODE =
      Metadata.Key.of(StatusBridge.METADATA_KEY, Metadata.ASCII_STRING_MARSHALLER);

  private final Quotas quotas;
  private final Runnable refused;
  private final Map<String, Held> clients = new ConcurrentHashMap<>();

  private record Held(int calls, long bytes) {
    static final Held NOTHING = new Held(0, 0);
  }

  /** What a call holds until it is closed. */
  interface Lease extends AutoCloseable {
    @Override
    void close();
  }

  /**
   * @param refused told of each call that is refused
   */
  ClientQuotas(Quotas quotas, Runnable refused) {
    this.quotas = quotas;
    this.refused = refused;
  }

  @Override
  public <Q, A> ServerCall.Listener<Q> interceptCall(
      ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
    if (!FLIGHT.equals(call.getMethodDescriptor().getServiceName())) {
      return next.startCall(call, headers);
    }
    String client = client(call);
    if (!enter(client)) {
      Metadata trailers = new Metadata();
      trailers.put(CODE, Code.AGENT_UNAVAILABLE.pythonName());
      call.close(Status.RESOURCE_EXHAUSTED.withDescription(tooManyCalls(client)), trailers);
      return new ServerCall.Listener<>() {};
    }
    AtomicBoolean left = new AtomicBoolean();
    Runnable leave =
        () -> {
          if (!left.getAndSet(true)) {
            change(client, -1, 0);
          }
        };
    boolean begun = false;
    try {
      ServerCall.Listener<Q> listener =
          Contexts.interceptCall(Context.current().withValue(CLIENT, client), call, headers, next);
      begun = true;
      return new Leaving<>(listener, leave);
    } finally {
      if (!begun) {
        leave.run();
      }
    }
  }

  private static final class Leaving<Q> extends SimpleForwardingServerCallListener<Q> {
    private final Runnable leave;

    Leaving(ServerCall.Listener<Q> listener, Runnable leave) {
      super(listener);
      this.leave = leave;
    }

    @Override
    public void onComplete() {
      leave.run();
      super.onComplete();
    }

    @Override
    public void onCancel() {
      leave.run();
      super.onCancel();
    }
  }

  /**
   * Takes bytes for the call that the current thread works for.
   *
   * @throws org.apache.arrow.flight.FlightRuntimeException RESOURCE_EXHAUSTED if the client's other
   *     calls leave too few
   */
  Lease take(long bytes) {
    String client = CLIENT.get();
    if (client == null || bytes == 0) {
      return () -> {};
    }
    if (!hold(client, bytes)) {
      throw StatusBridge.withCode(
              CallStatus.RESOURCE_EXHAUSTED, Code.AGENT_UNAVAILABLE, tooManyBytes(client, bytes))
          .toRuntimeException();
    }
    AtomicBoolean given = new AtomicBoolean();
    return () -> {
      if (!given.getAndSet(true)) {
        change(client, 0, -bytes);
      }
    };
  }

  private boolean enter(String client) {
    boolean[] in = new boolean[1];
    clients.compute(
        client,
        (name, there) -> {
          Held held = there == null ? Held.NOTHING : there;
          in[0] = held.calls < quotas.calls();
          return in[0] ? new Held(held.calls + 1, held.bytes) : there;
        });
    return counted(in[0]);
  }

  private boolean hold(String client, long bytes) {
    boolean[] in = new boolean[1];
    clients.compute(
        client,
        (name, there) -> {
          Held held = there == null ? Held.NOTHING : there;
          in[0] = held.bytes == 0 || bytes <= quotas.bytes() - held.bytes;
          return in[0] ? new Held(held.calls, held.bytes + bytes) : there;
        });
    return counted(in[0]);
  }

  private boolean counted(boolean in) {
    if (!in) {
      refused.run();
    }
    return in;
  }

  private void change(String client, int calls, long bytes) {
    clients.computeIfPresent(
        client,
        (name, held) -> {
          Held now = new Held(held.calls + calls, held.bytes + bytes);
          return now.equals(Held.NOTHING) ? null : now;
        });
  }

  /** Clients that hold something. */
  int clients() {
    return clients.size();
  }

  private String tooManyCalls(String client) {
    return "%s: %s has %d calls at this agent that have not ended; wait for some and ask again, or start the agent with a larger --flight-calls."
        .formatted(Code.AGENT_UNAVAILABLE.pythonName(), client, quotas.calls());
  }

  private String tooManyBytes(String client, long bytes) {
    return "%d bytes more than the unfinished calls of %s hold are over the limit of %d; wait for some and ask again, or start the agent with a larger --flight-bytes."
        .formatted(bytes, client, quotas.bytes());
  }

  private static String client(ServerCall<?, ?> call) {
    SSLSession session = call.getAttributes().get(Grpc.TRANSPORT_ATTR_SSL_SESSION);
    if (session != null) {
      try {
        for (Certificate certificate : session.getPeerCertificates()) {
          if (certificate instanceof X509Certificate shown) {
            return "the client with the certificate '%s'"
                .formatted(shown.getSubjectX500Principal().getName());
          }
        }
      } catch (SSLPeerUnverifiedException e) {
        // It showed none, so its address has to do.
      }
    }
    SocketAddress address = call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR);
    return "the client at "
        + (address instanceof InetSocketAddress known && known.getAddress() != null
            ? known.getAddress().getHostAddress()
            : String.valueOf(address));
  }
}
