package io.crossmesh.transfer.ucx;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.net.InetSocketAddress;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.openucx.jucx.UcxException;
import org.openucx.jucx.ucp.UcpConnectionRequest;
import org.openucx.jucx.ucp.UcpEndpoint;
import org.openucx.jucx.ucp.UcpEndpointErrorHandler;
import org.openucx.jucx.ucp.UcpEndpointParams;
import org.openucx.jucx.ucp.UcpListener;
import org.openucx.jucx.ucp.UcpListenerConnectionHandler;
import org.openucx.jucx.ucp.UcpListenerParams;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The listener and the incoming endpoints. Who sends is written in the messages, so it is not known
 * here whose they are, and the loss of one is no news to the engine, which hears of it from its own
 * link to that peer; but for one that a link answers by, which is lost with it.
 */
final class Acceptor implements UcpListenerConnectionHandler {
  private static final Logger log = LoggerFactory.getLogger(Acceptor.class);

  private final UcxWorker ucx;
  private final Receiver receiver;
  private final Set<Incoming> incoming = new LinkedHashSet<>();
  private @Nullable UcpListener listener;
  private boolean stopped;

  Acceptor(UcxWorker ucx, Receiver receiver) {
    this.ucx = ucx;
    this.receiver = receiver;
  }

  /**
   * Begins to listen.
   *
   * @return "host:port" for {@link #parse}
   */
  String listen(String host) {
    InetSocketAddress wanted = new InetSocketAddress(host, 0);
    if (wanted.isUnresolved() || wanted.getAddress().isAnyLocalAddress()) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "cannot listen on \"%s\": name an address of this host at which its peers reach it"
              .formatted(host));
    }
    try {
      UcpListener started =
          ucx.worker()
              .newListener(new UcpListenerParams().setSockAddr(wanted).setConnectionHandler(this));
      listener = started;
      String address = wanted.getAddress().getHostAddress();
      String shown = address.contains(":") ? "[" + address + "]" : address;
      return shown + ":" + started.getAddress().getPort();
    } catch (UcxException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "UCX cannot listen on %s: %s; name an address of this host, and have tcp in UCX_TLS"
              .formatted(host, e.getMessage()),
          e);
    }
  }

  /** The address that {@link #listen} of another process returned. */
  static InetSocketAddress parse(String address) {
    int colon = address.lastIndexOf(':');
    try {
      String host = address.substring(0, colon).replace("[", "").replace("]", "");
      return new InetSocketAddress(host, Integer.parseInt(address.substring(colon + 1)));
    } catch (RuntimeException e) {
      throw new IllegalArgumentException("not an address host:port: \"" + address + "\"", e);
    }
  }

  @Override
  public void onConnectionRequest(UcpConnectionRequest request) {
    try {
      endUnproven();
      if (stopped || unproven() >= Door.UNPROVEN_MAX) {
        request.reject();
      } else {
        incoming.add(new Incoming(request));
      }
    } catch (RuntimeException e) {
      log.debug("a connection was not accepted: {}", e.getMessage());
    }
  }

  private long unproven() {
    return incoming.stream().filter(peer -> !receiver.knows(peer.endpointId)).count();
  }

  /** Ends connections that had their time to prove themselves; looked at when another comes. */
  private void endUnproven() {
    long now = System.nanoTime();
    for (Incoming peer : List.copyOf(incoming)) {
      if (now - peer.sinceNanos > Door.PROOF_NANOS_MAX && !receiver.knows(peer.endpointId)) {
        ucx.deferred.later(() -> peer.end("it did not prove itself within its time"));
      }
    }
  }

  /** From now on connections are refused. */
  void stop() {
    stopped = true;
  }

  /** The endpoint by which a link came that was let in and has not ended. */
  @Nullable Incoming by(long link) {
    long endpointId = receiver.endpointOf(link);
    return incoming.stream().filter(peer -> peer.endpointId == endpointId).findAny().orElse(null);
  }

  /** Ends the endpoint by which a link came. */
  void sever(long link) {
    Incoming peer = by(link);
    if (peer != null) {
      peer.end("the peer is lost");
    }
  }

  void closeEndpoints() {
    List.copyOf(incoming).forEach(peer -> peer.end("the transport is closed"));
  }

  void closeListener() {
    UcpListener closing = listener;
    listener = null;
    if (closing != null) {
      closing.close();
    }
  }

  /** An endpoint that a peer has opened, and the link that answers by it, if one does. */
  final class Incoming implements UcpEndpointErrorHandler, Ending {
    private final UcpEndpoint endpoint;
    private final long endpointId;
    private final long sinceNanos = System.nanoTime();
    private @Nullable Link carried;
    private List<Inbound> inbounds = List.of();
    private String reason = "";
    private long deadlineNanos;

    Incoming(UcpConnectionRequest request) {
      this.endpoint =
          ucx.worker()
              .newEndpoint(
                  new UcpEndpointParams()
                      .setPeerErrorHandlingMode()
                      .setErrorHandler(this)
                      .setConnectionRequest(request));
      this.endpointId = endpoint.getNativeId();
    }

    @Override
    public void onError(UcpEndpoint failed, int status, String message) {
      ucx.deferred.later(() -> end(message));
    }

    /** For a link to send by. */
    UcpEndpoint endpoint() {
      return endpoint;
    }

    /** Has a link told of the end. */
    void carry(Link link) {
      carried = link;
    }

    void end(String why) {
      if (incoming.remove(this)) {
        Link link = carried;
        carried = null;
        if (link != null) {
          link.lost(why);
        }
        reason = why;
        deadlineNanos = System.nanoTime() + GRACE_NANOS;
        inbounds = receiver.endInbounds(endpointId);
        ucx.endings.add(this);
        ucx.closeForcing(endpoint);
      }
    }

    @Override
    public boolean over(long nowNanos) {
      if (nowNanos - deadlineNanos >= 0) {
        inbounds.forEach(inbound -> receiver.abandon(inbound, reason));
      }
      return inbounds.stream().allMatch(receiver::forget);
    }
  }
}
