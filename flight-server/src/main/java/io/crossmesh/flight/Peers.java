package io.crossmesh.flight;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.bulk.BulkTransport;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.transfer.PeerSpec;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.apache.arrow.memory.BufferAllocator;

/**
 * The other agents of the cluster. Each is asked who it is ({@link Hello}) before it is known; the
 * transfer engine is told whenever an agent, or a new life of one, becomes known.
 */
public final class Peers implements AutoCloseable {
  static final int PEERS_MAX = 4096;
  private static final Duration HELLO_LIMIT = Duration.ofSeconds(5);

  /** The first call of a young JVM takes seconds of a core, at both ends; so does a handshake. */
  private static final Duration FIRST_HELLO_LIMIT = Duration.ofSeconds(20);

  private final String self;
  private final Optional<String> transport;
  private final BufferAllocator allocator;
  private final String token;
  private final DoorSecurity security;
  private final Optional<HostPort> door;
  private final Consumer<List<PeerSpec>> engine;
  private final Map<String, Peer> peers = new LinkedHashMap<>();
  private boolean closed;

  record Peer(Hello hello, PeerClient client) {}

  /** An agent that said who it is, and what keeps it from reaching this one if anything does. */
  public record Met(Hello hello, Optional<String> trouble) {}

  /**
   * @param self this agent's name, which is skipped where peers are listed
   * @param transport by what this agent moves bytes, and all others have to
   * @param token opens the other agents' doors
   * @param security how calls to them are protected
   * @param door where others reach this agent's door, if that is known
   * @param engine takes all known peers at once
   */
  public Peers(
      String self,
      Optional<String> transport,
      BufferAllocator allocator,
      String token,
      DoorSecurity security,
      Optional<HostPort> door,
      Consumer<List<PeerSpec>> engine) {
    this.self = self;
    this.transport = transport;
    this.allocator = allocator;
    this.token = token;
    this.security = security;
    this.door = door;
    this.engine = engine;
  }

  /**
   * Asks agents who they are and makes them known; those known before stay.
   *
   * @return what each said, in the order of the list, without this agent itself
   * @throws CrossmeshException if one cannot be reached, is another agent or of another version;
   *     then those before it in the list are known
   */
  public List<Hello> join(List<PeerAddress> addresses) {
    List<Hello> hellos = new ArrayList<>();
    for (PeerAddress address : addresses) {
      if (!address.name().equals(self)) {
        hellos.add(meet(address).hello());
      }
    }
    return hellos;
  }

  /**
   * Asks one agent who it is and makes it known.
   *
   * @throws CrossmeshException as {@link #join} does, with the reason and the remedy
   */
  public Met meet(PeerAddress peer) {
    PeerClient client = clientFor(peer);
    boolean kept = false;
    try {
      if (!client.sameConnection()) {
        PortProbe.connect(peer, self);
        client.connectNow();
      }
      JsonValue answer = ask(client, peer);
      Hello hello = Hello.read(answer, peer.address());
      if (!hello.name().equals(peer.name())) {
        throw new CrossmeshException(
            Code.AGENT_UNAVAILABLE,
            "the agent at %s is '%s', not '%s'; correct --peer %s=%s or the agent's --name."
                .formatted(peer.address(), hello.name(), peer.name(), peer.name(), peer.address()));
      }
      checkTransport(hello);
      client.met();
      kept = keep(hello, client);
      return new Met(hello, answer.find("trouble").map(JsonValue::text));
    } finally {
      if (!kept) {
        closeUnknown(client);
      }
    }
  }

  private JsonValue ask(PeerClient client, PeerAddress peer) {
    Duration limit = helloLimit(peer);
    try {
      return client.action(Actions.HELLO, Hello.request(self, door), limit);
    } catch (CrossmeshException e) {
      throw switch (e.code()) {
        case AUTH ->
            new CrossmeshException(
                Code.AUTH,
                "the agent at %s refuses the token of '%s'; start both with the same CROSSMESH_TOKEN or --token-file."
                    .formatted(peer.address(), self),
                e);
        case TRANSFER_TIMEOUT ->
            new CrossmeshException(
                Code.AGENT_UNAVAILABLE,
                "%s did not say within %d s which agent it is; look at the process there, and at the network."
                    .formatted(peer.address(), limit.toSeconds()),
                e);
        default -> e;
      };
    }
  }

  private void checkTransport(Hello hello) {
    if (transport.isPresent()
        && hello.transport().isPresent()
        && !hello.transport().get().name().equals(transport.get())) {
      throw new CrossmeshException(
          Code.LAYOUT,
          "host '%s' moves tensors over %s and host '%s' over %s; start all agents of a cluster with the same --transport."
              .formatted(self, transport.get(), hello.name(), hello.transport().get().name()));
    }
  }

  private synchronized Duration helloLimit(PeerAddress peer) {
    boolean met = peers.containsKey(peer.name());
    return met && !security.encrypted() ? HELLO_LIMIT : FIRST_HELLO_LIMIT;
  }

  /**
   * Whether an agent needs no question: the connection over which it said who it is still stands,
   * and that ends with the process at its other end.
   */
  public synchronized boolean stands(PeerAddress address) {
    Peer known = peers.get(address.name());
    return known != null
        && known.client().address().equals(address.address())
        && known.client().sameConnection();
  }

  private synchronized PeerClient clientFor(PeerAddress peer) {
    Peer known = peers.get(peer.name());
    return known != null && known.client().address().equals(peer.address())
        ? known.client()
        : new PeerClient(allocator, peer.address(), token, security);
  }

  private boolean keep(Hello hello, PeerClient client) {
    Peer before;
    synchronized (this) {
      if (closed) {
        return false;
      }
      if (peers.size() >= PEERS_MAX && !peers.containsKey(hello.name())) {
        throw new CrossmeshException(
            Code.AGENT_UNAVAILABLE, "a cluster has at most %d agents.".formatted(PEERS_MAX));
      }
      before = peers.put(hello.name(), new Peer(hello, client));
      if (before == null || !before.hello().equals(hello)) {
        engine.accept(specs());
      }
    }
    if (before != null && before.client() != client) {
      before.client().close();
    }
    return true;
  }

  /** Tells the engine again whom it may reach, so that it connects to those it has lost. */
  public synchronized void announce() {
    engine.accept(specs());
  }

  private List<PeerSpec> specs() {
    List<PeerSpec> specs = new ArrayList<>();
    for (Peer peer : peers.values()) {
      peer.hello()
          .transport()
          .ifPresent(
              there ->
                  specs.add(
                      new PeerSpec(
                          peer.hello().name(), peer.hello().epoch(), reached(peer, there))));
    }
    return specs;
  }

  /** A transport at the door is where the door is, as seen from here. */
  private static String reached(Peer peer, Hello.Transport transport) {
    return transport.name().equals(BulkTransport.NAME)
        ? peer.client().address().toString()
        : transport.address();
  }

  private void closeUnknown(PeerClient client) {
    boolean known;
    synchronized (this) {
      known = peers.values().stream().anyMatch(peer -> peer.client() == client);
    }
    if (!known) {
      client.close();
    }
  }

  /** All known agents, for asking each of them. */
  synchronized List<Peer> all() {
    return List.copyOf(peers.values());
  }

  /** Where a known agent's Flight door is. */
  synchronized Optional<HostPort> address(String host) {
    return Optional.ofNullable(peers.get(host)).map(peer -> peer.client().address());
  }

  /** The client of an agent that has to be known. */
  synchronized PeerClient client(String host) {
    Peer peer = peers.get(host);
    if (peer == null) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "agent '%s' does not know host '%s', only %s; start it with --peer %s=HOST:PORT, or join it."
              .formatted(self, host, peers.keySet(), host));
    }
    return peer.client();
  }

  @Override
  public void close() {
    List<Peer> left;
    synchronized (this) {
      closed = true;
      left = List.copyOf(peers.values());
      peers.clear();
    }
    left.forEach(peer -> peer.client().close());
  }
}
