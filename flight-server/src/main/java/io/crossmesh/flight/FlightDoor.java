package io.crossmesh.flight;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.flight.bulk.BulkTransport;
import io.crossmesh.host.Ports;
import io.crossmesh.memory.Arena;
import io.grpc.netty.NettyServerBuilder;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.apache.arrow.flight.FlightServer;
import org.apache.arrow.flight.Location;
import org.apache.arrow.memory.BufferAllocator;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The Flight endpoint of an agent. Every call needs the bearer token. Calls run on virtual threads:
 * an agent that waits for others in one call always has a thread for theirs.
 */
public final class FlightDoor implements AutoCloseable {
  /** The largest message, so one batch of a tile; larger ones are refused with this number. */
  static final int MESSAGE_BYTES_MAX = 256 << 20;

  /** Arrow's name for a hook on the gRPC server that it builds. */
  private static final String SERVER_BUILDER = "grpc.builderConsumer";

  private static final Logger LOG = LoggerFactory.getLogger(FlightDoor.class);
  private static final long END_SECONDS_MAX = 2;

  private final FlightServer server;
  private final ExecutorService calls;
  private final TensorStore store;
  private final Reshards reshards;

  private FlightDoor(
      FlightServer server, ExecutorService calls, TensorStore store, Reshards reshards) {
    this.server = server;
    this.calls = calls;
    this.store = store;
    this.reshards = reshards;
  }

  /**
   * What the endpoint needs.
   *
   * @param host this agent's name
   * @param bind the address to listen on
   * @param port 0 for any
   * @param security how connections are protected
   * @param token whether a presented token is right
   * @param refused told of each call without the right token
   * @param quotas what one client may take at a time
   * @param overQuota told of each call that is over its client's quota
   * @param hello who this agent is
   * @param askers told of the agents that ask for it
   * @param status its state in numbers
   * @param bulk the transport whose calls come to this door, too
   */
  public record Settings(
      String host,
      String bind,
      int port,
      DoorSecurity security,
      Predicate<String> token,
      Runnable refused,
      Quotas quotas,
      Runnable overQuota,
      Supplier<Hello> hello,
      Askers askers,
      Supplier<ObjectNode> status,
      Optional<BulkTransport> bulk) {}

  /** Opens the door; it answers when this returns. */
  public static FlightDoor open(
      Settings settings, BufferAllocator allocator, Arena arena, Peers peers, Channels channels) {
    TensorStore store = new TensorStore(settings.host());
    Catalog catalog = new Catalog(store, peers);
    Reshards reshards = new Reshards(settings.host(), store, catalog, peers, arena, channels);
    ExecutorService calls = new CallThreads();
    ClientQuotas quotas = new ClientQuotas(settings.quotas(), settings.overQuota());
    OwnLocation own = new OwnLocation();
    TensorProducer producer =
        new TensorProducer(
            allocator,
            catalog,
            new SliceReader(settings.host(), store, peers, quotas),
            new PutReader(settings.host(), store, arena, quotas),
            new Actions(
                settings.hello(), settings.askers(), settings.status(), store, catalog, reshards),
            host ->
                host.equals(settings.host())
                    ? Optional.of(own.get())
                    : peers
                        .address(host)
                        .map(door -> settings.security().location(door.host(), door.port())));
    BearerAuthenticator bearer = new BearerAuthenticator(settings.token(), settings.refused());
    FlightServer server =
        FlightServer.builder(
                allocator, Location.forGrpcInsecure(settings.bind(), settings.port()), producer)
            .headerAuthenticator(bearer)
            .maxInboundMessageSize(MESSAGE_BYTES_MAX)
            .executor(calls)
            .transportHint(
                SERVER_BUILDER,
                (Consumer<NettyServerBuilder>)
                    builder ->
                        furnish(
                            builder.intercept(new UnreadableMessages()).intercept(quotas),
                            settings,
                            bearer))
            .build();
    try {
      server.start();
    } catch (IOException e) {
      calls.shutdownNow();
      throw Ports.refused("the Flight door", settings.bind(), settings.port(), "--flight-port", e);
    }
    // Clients of a door on all addresses know one that reaches it; we do not.
    InetAddress bound = new InetSocketAddress(settings.bind(), 0).getAddress();
    if (bound == null || !bound.isAnyLocalAddress()) {
      own.set(settings.security().location(settings.bind(), server.getPort()));
    }
    settings
        .bulk()
        .ifPresent(bulk -> bulk.listening(new HostPort(settings.bind(), server.getPort())));
    return new FlightDoor(server, calls, store, reshards);
  }

  /** What Arrow does not know of: how connections are protected, and the calls between agents. */
  private static void furnish(
      NettyServerBuilder door, Settings settings, BearerAuthenticator bearer) {
    settings.security().protect(door);
    settings.bulk().ifPresent(bulk -> bulk.offer(door, bearer::refusal));
  }

  /** The port it listens on. */
  public int port() {
    return server.getPort();
  }

  @Override
  public void close() {
    reshards.close();
    server.shutdown();
    try {
      if (!server.awaitTermination(END_SECONDS_MAX, TimeUnit.SECONDS)) {
        server.close();
      }
      // A call may be copying tiles by address: the arena must not close under it.
      calls.shutdownNow();
      if (!calls.awaitTermination(END_SECONDS_MAX, TimeUnit.SECONDS)) {
        LOG.warn("a Flight call still runs, {} seconds after the door closed", END_SECONDS_MAX);
      }
    } catch (InterruptedException e) {
      calls.shutdownNow();
      Thread.currentThread().interrupt();
    }
    store.close();
  }

  /** This agent's own door, known once it is open. */
  private static final class OwnLocation {
    private volatile Location location = Location.reuseConnection();

    Location get() {
      return location;
    }

    void set(Location known) {
      location = known;
    }
  }
}
