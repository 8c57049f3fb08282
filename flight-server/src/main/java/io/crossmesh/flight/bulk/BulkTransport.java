package io.crossmesh.flight.bulk;

import io.crossmesh.flight.DoorSecurity;
import io.crossmesh.flight.HostPort;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport;
import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.ServerCall;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * {@link Transport} over gRPC streams: its service stands at an agent's Flight door, its calls go
 * to the doors of others, protected as everything there is.
 */
public final class BulkTransport implements Transport {
  /** The name that agents tell each other and their users. */
  public static final String NAME = "flight";

  /** The version of what its calls carry. */
  public static final String VERSION = "1";

  /** A peer that is silent for as long is asked, and lost when it does not answer in as long. */
  private static final long KEEP_ALIVE_SECONDS = 10;

  /**
   * What a peer may have on its way to us, in bytes. gRPC's own 1 MiB, even where it lets that
   * grow, has a sender wait for the receiver's thread: over TLS on loopback that cost a third.
   */
  private static final int WINDOW_BYTES = 8 << 20;

  private static final long ENDING_SLEEP_NANOS = 10_000_000L;
  private static final long CLOSE_NANOS = 1_000_000_000L;
  private static final String SERVICE = "crossmesh.Bulk";
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private static final MethodDescriptor<Frame, Frame> METHOD =
      MethodDescriptor.<Frame, Frame>newBuilder()
          .setType(MethodDescriptor.MethodType.BIDI_STREAMING)
          .setFullMethodName(MethodDescriptor.generateFullMethodName(SERVICE, "Link"))
          .setRequestMarshaller(new FrameMarshaller())
          .setResponseMarshaller(new FrameMarshaller())
          .build();

  private final DoorSecurity security;
  private final String token;
  private final OwnerQueue owner;
  private final Runnable refused;
  private final Counters counters = new Counters();
  private final Map<Integer, BulkLink> links = new HashMap<>();
  private final List<BulkLink> endings = new ArrayList<>();
  private final ExecutorService sending =
      Executors.newThreadPerTaskExecutor(Thread.ofVirtual().name("bulk-", 0).factory());
  private volatile Optional<HostPort> address = Optional.empty();
  private volatile @Nullable Session session;
  private boolean closed;

  /** What exists from start to close. */
  private record Session(Handler handler, Receiving receiving) {}

  /** Whether a caller may come in, by what it says of itself. */
  @FunctionalInterface
  public interface Admission {
    /** Why not; empty if it may. */
    Optional<String> refusal(@Nullable String authorization);
  }

  /**
   * A transport that is not started.
   *
   * @param security how calls to peers are protected
   * @param token opens their doors
   * @param bell what ends its sleep, here and by other processes; open for as long as this
   * @param refused told of each peer that speaks in another's name
   */
  public BulkTransport(DoorSecurity security, String token, Doorbell bell, Runnable refused) {
    this.security = security;
    this.token = token;
    this.owner = new OwnerQueue(bell);
    this.refused = refused;
  }

  /** Adds to a door what peers call. */
  public void offer(NettyServerBuilder door, Admission admission) {
    door.addService(
            ServerServiceDefinition.builder(SERVICE)
                .addMethod(METHOD, (call, headers) -> accept(call, headers, admission))
                .build())
        .flowControlWindow(WINDOW_BYTES)
        .permitKeepAliveTime(KEEP_ALIVE_SECONDS / 2, TimeUnit.SECONDS)
        .keepAliveTime(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
        .keepAliveTimeout(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS);
  }

  /** Tells where the door is to which {@link #offer} was made. */
  public void listening(HostPort door) {
    address = Optional.of(door);
  }

  private ServerCall.Listener<Frame> accept(
      ServerCall<Frame, Frame> call, Metadata headers, Admission admission) {
    Optional<String> refusal = admission.refusal(headers.get(AUTHORIZATION));
    Session present = session;
    if (refusal.isPresent()) {
      call.close(Status.UNAUTHENTICATED.withDescription(refusal.get()), new Metadata());
      return new ServerCall.Listener<>() {};
    }
    if (present == null) {
      call.close(
          Status.UNAVAILABLE.withDescription("the agent has no transport now"), new Metadata());
      return new ServerCall.Listener<>() {};
    }
    Inbound inbound = new Inbound(call, present.receiving(), owner);
    owner.add(() -> present.receiving().begin(inbound));
    return inbound;
  }

  @Override
  public void start(Handler handler) {
    if (session != null || closed) {
      throw new IllegalStateException("a transport starts once");
    }
    session = new Session(handler, new Receiving(owner, handler, counters, refused));
  }

  private Session started() {
    Session present = session;
    if (present == null) {
      throw new IllegalStateException("the transport is not started or closed");
    }
    return present;
  }

  /** {@inheritDoc} Any thread may ask; empty before the door is open. */
  @Override
  public String address() {
    return address.map(HostPort::toString).orElse("");
  }

  @Override
  public void connect(int peer, String peerAddress) {
    Session present = started();
    if (links.containsKey(peer)) {
      throw new IllegalArgumentException("peer " + peer + " is connected already");
    }
    try {
      links.put(peer, link(peer, HostPort.parse(peerAddress), present.handler()));
    } catch (RuntimeException e) {
      String reason = "cannot connect to " + peerAddress + ": " + e.getMessage();
      owner.add(() -> present.handler().onPeerLost(peer, reason));
    }
  }

  private BulkLink link(int peer, HostPort door, Handler handler) {
    NettyChannelBuilder builder =
        NettyChannelBuilder.forAddress(door.host(), door.port())
            .maxTraceEvents(0)
            .proxyDetector(DoorSecurity.DIRECT)
            .disableRetry()
            .keepAliveTime(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS)
            .keepAliveTimeout(KEEP_ALIVE_SECONDS, TimeUnit.SECONDS);
    security.protect(builder);
    ManagedChannel channel = builder.build();
    CallOptions options =
        CallOptions.DEFAULT.withExecutor(sending).withOnReadyThreshold(BulkLink.BUFFERED_BYTES);
    BulkLink link =
        new BulkLink(
            peer, channel, channel.newCall(METHOD, options), sending, owner, handler, counters);
    Metadata headers = new Metadata();
    headers.put(AUTHORIZATION, "Bearer " + token);
    link.start(headers);
    return link;
  }

  @Override
  public void disconnect(int peer) {
    BulkLink link = links.remove(peer);
    if (link != null) {
      link.leave();
      endings.add(link);
    }
  }

  @Override
  public void abandon(int peer) {
    BulkLink link = links.remove(peer);
    if (link != null) {
      link.abandon();
      endings.add(link);
    }
  }

  @Override
  public void sever(long connection) {
    started().receiving().sever(connection);
  }

  @Override
  public void send(
      int peer, MemorySegment header, MemorySegment payload, boolean bulk, SendDone done) {
    started();
    BulkLink link = links.get(peer);
    if (link == null || !link.open()) {
      owner.add(() -> done.failed("peer " + peer + " is not connected"));
      return;
    }
    link.send(header, payload, bulk, done);
  }

  @Override
  public int progress() {
    if (session == null) {
      return 0;
    }
    int events = turn();
    owner.rethrow();
    return events;
  }

  private int turn() {
    int events = owner.run();
    if (!endings.isEmpty()) {
      long now = System.nanoTime();
      int before = endings.size();
      endings.removeIf(link -> link.over(now));
      events += before - endings.size();
    }
    return events;
  }

  @Override
  public void awaitEvent(long timeoutNanos) {
    if (session != null) {
      owner.sleep(endings.isEmpty() ? timeoutNanos : Math.min(timeoutNanos, ENDING_SLEEP_NANOS));
    }
  }

  @Override
  public void wakeup() {
    owner.wake();
  }

  @Override
  public Counters counters() {
    return counters;
  }

  /**
   * Says goodbye to every peer, so that what was sent before arrives, then ends everything. Takes
   * no more messages meanwhile. A peer that does not answer delays it by three seconds at most.
   */
  @Override
  public void close() {
    closed = true;
    Session present = session;
    if (present == null) {
      sending.shutdown();
      return;
    }
    present.receiving().stop();
    for (int peer : List.copyOf(links.keySet())) {
      disconnect(peer);
    }
    drive(BulkLink.GOODBYE_NANOS + CLOSE_NANOS);
    session = null;
    present.receiving().closeAll();
    sending.shutdown();
    while (owner.run() > 0) {
      // What that ends is told, too.
    }
    owner.rethrow();
  }

  private void drive(long limitNanos) {
    long start = System.nanoTime();
    while (!endings.isEmpty() && System.nanoTime() - start < limitNanos) {
      if (turn() == 0) {
        owner.sleep(1_000_000L);
      }
    }
  }
}
