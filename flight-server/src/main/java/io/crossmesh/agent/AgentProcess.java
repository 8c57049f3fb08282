package io.crossmesh.agent;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.flight.DoorSecurity;
import io.crossmesh.flight.FlightDoor;
import io.crossmesh.flight.Hello;
import io.crossmesh.flight.HostPort;
import io.crossmesh.flight.PeerAddress;
import io.crossmesh.flight.Peers;
import io.crossmesh.flight.bulk.BulkTransport;
import io.crossmesh.gateway.AgentSide;
import io.crossmesh.gateway.ChannelOpener;
import io.crossmesh.gateway.GatewayDoor;
import io.crossmesh.gateway.Lifelines;
import io.crossmesh.gateway.PlannerGateway;
import io.crossmesh.json.Json;
import io.crossmesh.memory.Arena;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.metrics.Metrics;
import io.crossmesh.metrics.MetricsDoor;
import io.crossmesh.metrics.Refused;
import io.crossmesh.transfer.Mailbox;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.apache.arrow.memory.RootAllocator;

/**
 * One agent with all its parts, wired in the order in which they need each other and closed in the
 * opposite one.
 */
final class AgentProcess implements AutoCloseable {
  /** The most that Flight's buffers may take, all calls together. */
  static final DataSize FLIGHT_BUFFERS_MAX = DataSize.parse("1GiB");

  private static final int PEERS_IN_A_REQUEST_MAX = 4096;

  private final ClosingStack parts;

  private AgentProcess(ClosingStack parts) {
    this.parts = parts;
  }

  /** Starts everything; the info file is there when this returns. */
  static AgentProcess start(AgentConfig config) {
    ClosingStack parts = new ClosingStack();
    boolean started = false;
    try {
      wire(config, parts);
      started = true;
      return new AgentProcess(parts);
    } finally {
      if (!started) {
        parts.close();
      }
    }
  }

  private static void wire(AgentConfig config, ClosingStack parts) {
    long epoch = Epochs.next();
    PublishedInfo info = new PublishedInfo();
    PrivateDirectory directory =
        parts.push(PrivateDirectory.create(config.arenaDirectory(), config.name()));
    Arena arena =
        parts.push(Arena.create(directory.path().resolve("arena"), config.arena().bytes()));
    RootAllocator allocator = parts.push(new RootAllocator(FLIGHT_BUFFERS_MAX.bytes()));
    Metrics metrics = parts.push(new Metrics(config.name(), System::nanoTime));
    DoorSecurity security =
        parts.push(
            config
                .tls()
                .map(
                    files ->
                        DoorSecurity.tls(
                            files,
                            () -> metrics.refused(Refused.CERTIFICATE),
                            () -> metrics.refused(Refused.HANDSHAKE)))
                .orElseGet(DoorSecurity::plain));
    PeerBook book = new PeerBook(config.name(), System::nanoTime);
    Engine engine =
        parts.push(
            Engines.start(
                config,
                epoch,
                arena,
                directory.path(),
                security,
                book,
                () -> metrics.refused(Refused.UCX)));
    metrics.transport(
        engine.transport().name(),
        engine.transport() instanceof AgentInfo.TransportInfo.Available there
            ? there.version()
            : "");
    ChannelOpener channels =
        (request, participant) -> metrics.open(engine::open, request, participant);
    Peers peers =
        parts.push(
            new Peers(
                config.name(),
                transportName(config),
                allocator,
                config.token().reveal(),
                security,
                config.door(),
                engine::setPeers));
    book.movesBy(engine.transport().name());
    book.list(config.peers());
    PeerWatch watch = parts.push(new PeerWatch(peers, book, engine::reading));
    FlightDoor flight =
        parts.push(
            FlightDoor.open(
                new FlightDoor.Settings(
                    config.name(),
                    config.bind(),
                    config.flightPort(),
                    security,
                    config.token()::matches,
                    () -> metrics.refused(Refused.TOKEN),
                    config.quotas(),
                    () -> metrics.refused(Refused.QUOTA),
                    () -> hello(config, info.get()),
                    book,
                    () -> status(engine, metrics, book),
                    engine.bulk()),
                allocator,
                arena,
                peers,
                channels::open));
    // A transport at the door says goodbye while that is still open.
    engine.bulk().ifPresent(atTheDoor -> parts.push(engine));
    Lifelines lifelines = parts.push(Lifelines.open(directory.path()));
    PlannerGateway entryPoint =
        parts.push(
            PlannerGateway.of(
                info::publicly,
                new Side(engine, metrics, channels, watch, book),
                directory.path(),
                lifelines));
    Token gatewayToken = Token.generate();
    GatewayDoor gateway = parts.push(GatewayDoor.open(entryPoint, gatewayToken.reveal()));
    OptionalInt metricsPort = metricsDoor(config, metrics, engine, parts);
    // Before its sessions end, which would end their channels for all hosts.
    parts.push(engine::leave);
    AgentInfo agent =
        new AgentInfo(
            config.name(),
            epoch,
            new AgentInfo.Gateway(gateway.port(), gatewayToken, Optional.of(lifelines.path())),
            Optional.of(
                new AgentInfo.Flight(
                    reachable(config), flight.port(), security.encrypted(), config.token())),
            Optional.of(new AgentInfo.SharedMemory(arena.file(), arena.budget())),
            metricsPort,
            engine.transport());
    // Clients that were told by hello where the file is find it there.
    parts.push(InfoFile.publish(config.infoFile(), agent.withSecrets()));
    info.set(agent);
    watch.start();
    Announcement.of(config, agent, security.encrypted()).say(watch, book);
    Thread.ofPlatform().name("metrics-start").daemon(true).start(metrics::prepare);
  }

  private static OptionalInt metricsDoor(
      AgentConfig config, Metrics metrics, Engine engine, ClosingStack parts) {
    if (config.metricsPort().isEmpty()) {
      return OptionalInt.empty();
    }
    int port = config.metricsPort().getAsInt();
    return OptionalInt.of(parts.push(MetricsDoor.open(port, metrics.page(engine::reading))).port());
  }

  /** Where this host itself reaches the door. */
  private static String reachable(AgentConfig config) {
    InetAddress bound = new InetSocketAddress(config.bind(), 0).getAddress();
    return bound == null || !bound.isAnyLocalAddress() ? config.bind() : "127.0.0.1";
  }

  private static ObjectNode status(Engine engine, Metrics metrics, PeerBook book) {
    ObjectNode json = engine.status();
    book.describe(json);
    json.put("transport", engine.transport().name());
    ObjectNode refused = json.putObject("refused");
    metrics.refused().forEach(refused::put);
    return json;
  }

  /** What is asked for, which peers have to be asked for too. */
  private static Optional<String> transportName(AgentConfig config) {
    return switch (config.transport()) {
      case UCX -> Optional.of("ucx");
      case FLIGHT -> Optional.of(BulkTransport.NAME);
      case NONE -> Optional.empty();
    };
  }

  private static Hello hello(AgentConfig config, AgentInfo info) {
    Optional<Hello.Transport> transport =
        info.transport() instanceof AgentInfo.TransportInfo.Available there
            ? Optional.of(new Hello.Transport(there.name(), there.address()))
            : Optional.empty();
    return new Hello(
        info.name(), info.epoch(), transport, config.infoFile().toAbsolutePath().toString());
  }

  @Override
  public void close() {
    parts.close();
  }

  private record Side(
      Engine engine, Metrics metrics, ChannelOpener channels, PeerWatch watch, PeerBook book)
      implements AgentSide {
    @Override
    public Optional<Doorbell> bell() {
      return engine.bell();
    }

    @Override
    public void attach(Mailbox mailbox) {
      engine.attach(mailbox);
    }

    @Override
    public ObjectNode join(JsonValue peers) {
      List<PeerAddress> addresses = new ArrayList<>();
      for (JsonValue peer : peers.items(PEERS_IN_A_REQUEST_MAX)) {
        peer.allow(Set.of("name", "address"));
        addresses.add(address(peer));
      }
      ObjectNode answer = Json.object();
      var known = answer.putArray("peers");
      for (Hello hello : watch.join(addresses)) {
        known
            .addObject()
            .put("name", hello.name())
            .put("epoch", hello.epoch())
            .put("transport", hello.transport().map(Hello.Transport::name).orElse(null))
            .put("transport_address", hello.transport().map(Hello.Transport::address).orElse(null));
      }
      return answer;
    }

    private static PeerAddress address(JsonValue peer) {
      String text = peer.get("address").text();
      try {
        return new PeerAddress(peer.get("name").text(), HostPort.parse(text));
      } catch (IllegalArgumentException e) {
        throw Json.bad(
            "the address of '%s': %s".formatted(peer.get("name").text(), e.getMessage()));
      }
    }

    @Override
    public ObjectNode status() {
      return AgentProcess.status(engine, metrics, book);
    }
  }
}
