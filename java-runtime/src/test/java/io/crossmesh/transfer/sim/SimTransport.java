package io.crossmesh.transfer.sim;

import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One end of the simulated network. A message is announced once and lands once: an eager payload is
 * copied when it is sent and lands with its announcement; another is read from the sender's memory
 * only when it lands, so memory that is used too early shows as wrong data.
 */
public final class SimTransport implements Transport {
  private record Event(long atNanos, long order, Runnable action) implements Comparable<Event> {
    @Override
    public int compareTo(Event other) {
      int byTime = Long.compare(atNanos, other.atNanos);
      return byTime != 0 ? byTime : Long.compare(order, other.order);
    }
  }

  /** Where a header says its kind, and the kind that only new connections send. */
  private static final int KIND_AT = 6;

  private static final byte GREETING = 1;

  /** Where it says that a chunk begins a step: the one that keeps its place among all. */
  private static final int FLAGS_AT = 7;

  private static final int FLAG_BEGINS = 2;

  private final SimNetwork network;
  private final String address;
  private final PriorityQueue<Event> events = new PriorityQueue<>();
  private final Map<Integer, SimTransport> peers = new HashMap<>();
  private final Map<Integer, Long> connections = new HashMap<>();
  private final Map<Integer, Long> answers = new HashMap<>();
  private final Set<Long> severed = new HashSet<>();
  private final Map<String, Long> lastArrival = new HashMap<>();
  private final Set<SimFlight> flights = new LinkedHashSet<>();
  private final Set<SimFlight> landing = new LinkedHashSet<>();
  private final Counters counters = new Counters();
  private Handler handler = NOBODY;
  private long order;
  private boolean dead;
  private boolean cutOff;

  private static final Handler NOBODY =
      new Handler() {
        @Override
        public Landing onMessage(long connection, MemorySegment header, long payloadBytes) {
          return Landing.DISCARD;
        }

        @Override
        public void onPeerLost(int peer, String reason) {
          // nobody is there
        }
      };

  SimTransport(SimNetwork network, String address) {
    this.network = network;
    this.address = address;
  }

  private void at(long nanos, Runnable action) {
    events.add(new Event(nanos, order++, action));
  }

  @Override
  public void start(Handler messages) {
    handler = messages;
  }

  @Override
  public String address() {
    return address;
  }

  @Override
  public void connect(int peer, String to) {
    SimTransport other = network.at(to);
    if (other != null) {
      peers.put(peer, other);
    }
    connections.put(peer, network.nextConnection());
    if (other == null || other.dead) {
      at(network.now() + network.delay(), () -> lose(peer, "connection refused"));
    }
  }

  @Override
  public void abandon(int peer) {
    disconnect(peer);
  }

  @Override
  public void sever(long connection) {
    severed.add(connection);
    for (SimFlight flight : new ArrayList<>(landing)) {
      if (flight.connection() == connection) {
        cut(flight, "severed");
      }
    }
    for (SimTransport sender : network.all()) {
      sender.connections.forEach(
          (peer, own) -> {
            if (own == connection && !cutOff && !sender.cutOff) {
              sender.reset(peer);
            }
          });
    }
  }

  /** Learns after a while that the other end of a connection is gone. */
  private void reset(int peer) {
    at(
        network.now() + network.delay(),
        () -> {
          if (peers.containsKey(peer)) {
            lose(peer, "connection reset");
          }
        });
  }

  @Override
  public void answerBy(int peer, long connection) {
    answers.put(peer, connection);
  }

  /** The connection by which messages to a peer go that it has opened; null for its own. */
  public @Nullable Long answersBy(int peer) {
    return answers.get(peer);
  }

  /** Its own connection to a peer. */
  public @Nullable Long connection(int peer) {
    return connections.get(peer);
  }

  @Override
  public void disconnect(int peer) {
    peers.remove(peer);
    Long own = connections.get(peer);
    for (SimTransport other : network.all()) {
      other.answers.forEach(
          (number, by) -> {
            if (by.equals(own) && !cutOff && !other.cutOff) {
              other.reset(number);
            }
          });
    }
    for (SimFlight flight : new ArrayList<>(flights)) {
      if (flight.peer() == peer) {
        flight.failed("disconnected");
      }
    }
  }

  private void lose(int peer, String reason) {
    SimTransport other = peers.remove(peer);
    for (SimFlight flight : new ArrayList<>(flights)) {
      if (flight.peer() == peer) {
        flight.failed(reason);
      }
    }
    if (other != null) {
      cutLandings(other, reason);
    }
    handler.onPeerLost(peer, reason);
  }

  private void cutLandings(SimTransport from, String reason) {
    for (SimFlight flight : new ArrayList<>(landing)) {
      if (flight.from() == from) {
        cut(flight, reason);
      }
    }
  }

  private void cut(SimFlight flight, String reason) {
    landing.remove(flight);
    flight.land().failed(reason);
  }

  /**
   * The cable of this host is pulled: nothing leaves it or reaches it any more, what is on its way
   * stays there, and no connection ends by that.
   */
  public void cutOff() {
    cutOff = true;
  }

  /** The cable is in again; what was on its way is gone. */
  public void comeBack() {
    cutOff = false;
  }

  /**
   * This host dies: nothing leaves it or reaches it any more, and its peers notice after a while.
   */
  public void die() {
    dead = true;
    for (SimTransport other : network.all()) {
      if (other == this) {
        continue;
      }
      List<Integer> numbers = new ArrayList<>();
      other.peers.forEach(
          (number, to) -> {
            if (to == this) {
              numbers.add(number);
            }
          });
      for (int number : numbers) {
        other.at(network.now() + network.delay(), () -> other.lose(number, "connection reset"));
      }
    }
  }

  @Override
  public void send(
      int peer, MemorySegment header, MemorySegment payload, boolean bulk, SendDone done) {
    SimTransport to = peers.get(peer);
    long connection = connections.getOrDefault(peer, 0L);
    SimFlight flight = new SimFlight(this, peer, connection, payload, bulk, done);
    flights.add(flight);
    if (to == null || to.dead) {
      at(network.now() + network.delay(), () -> flight.failed("not connected"));
      return;
    }
    if (to.severed.contains(connection) && !flight.isStuck(to)) {
      reset(peer);
      return;
    }
    MemorySegment head = copy(header);
    boolean eager = network.eager();
    MemorySegment bytes = eager ? copy(payload) : payload;
    boolean apart = bulk && (head.get(ValueLayout.JAVA_BYTE, FLAGS_AT) & FLAG_BEGINS) == 0;
    String lane = address + (apart ? "/bulk" : "/control");
    long arrival =
        Math.max(to.lastArrival.getOrDefault(lane, 0L) + 1, network.now() + network.delay());
    to.lastArrival.put(lane, arrival);
    if (network.lost(apart)) {
      at(network.now() + network.delay(), flight::sent);
      return;
    }
    to.at(arrival, () -> to.announce(flight, head, bytes, eager));
    boolean greets = head.get(ValueLayout.JAVA_BYTE, KIND_AT) == GREETING;
    if (!greets && !flight.isStuck(to) && network.repeated()) {
      MemorySegment again = copy(payload);
      to.at(arrival + network.repetition(), () -> to.repeat(flight, head, again));
    }
    if (eager) {
      at(network.now() + network.delay() / 4, flight::sent);
    }
  }

  /** A message comes once more. */
  @SuppressWarnings("ReferenceEquality") // DISCARD is the one of its kind
  private void repeat(SimFlight flight, MemorySegment head, MemorySegment payload) {
    if (flight.isStuck(this) || severed.contains(flight.connection())) {
      return;
    }
    Landing place = handler.onMessage(flight.connection(), head, payload.byteSize());
    if (payload.byteSize() > 0 && place != Landing.DISCARD) {
      place.arrived(payload);
    }
  }

  private static MemorySegment copy(MemorySegment from) {
    MemorySegment to = Arena.ofAuto().allocate(Math.max(1, from.byteSize()), 8);
    return to.copyFrom(from).asSlice(0, from.byteSize());
  }

  @SuppressWarnings("ReferenceEquality") // DISCARD is the one of its kind
  private void announce(SimFlight flight, MemorySegment head, MemorySegment bytes, boolean eager) {
    if (flight.from().dead || flight.isStuck(this) || severed.contains(flight.connection())) {
      return;
    }
    Landing place = handler.onMessage(flight.connection(), head, bytes.byteSize());
    flight.landsAt(place);
    if (bytes.byteSize() == 0) {
      counters.received(false, 0);
      end(flight, eager);
    } else if (eager) {
      if (place != Landing.DISCARD) {
        counters.received(place.bulk(), bytes.byteSize());
        if (place.bulk()) {
          network.damage(bytes);
        }
        place.arrived(bytes);
      }
    } else {
      landing.add(flight);
      if (place == Landing.DISCARD || place.ready(() -> fetch(flight, bytes))) {
        fetch(flight, bytes);
      }
    }
  }

  private void fetch(SimFlight flight, MemorySegment bytes) {
    boolean buffered = network.buffered() && !flight.from().dead && !flight.hasEnded();
    MemorySegment data = buffered ? copy(bytes) : bytes;
    if (buffered) {
      end(flight, false);
    }
    at(
        network.now() + network.landing(),
        () -> {
          if (flight.hasLanded() || flight.isStuck(this)) {
            return;
          }
          if (!buffered && (flight.from().dead || flight.hasEnded())) {
            cut(flight, "the sender has given up");
          } else {
            land(flight, data);
            if (!buffered) {
              end(flight, false);
            }
          }
        });
  }

  @SuppressWarnings("ReferenceEquality") // DISCARD is the one of its kind
  private void land(SimFlight flight, MemorySegment bytes) {
    landing.remove(flight);
    Landing place = flight.land();
    if (place == Landing.DISCARD) {
      return;
    }
    MemorySegment target = place.segment();
    if (target.byteSize() != bytes.byteSize()) {
      throw new AssertionError(
          "a landing of %d bytes for %d".formatted(target.byteSize(), bytes.byteSize()));
    }
    target.copyFrom(bytes);
    if (place.bulk()) {
      network.damage(target);
    }
    counters.received(place.bulk(), bytes.byteSize());
    place.landed();
  }

  private void end(SimFlight flight, boolean eager) {
    if (!eager) {
      flight.from().at(network.now() + network.delay(), flight::sent);
    }
  }

  @Override
  public int progress() {
    int ran = 0;
    while (!dead && !events.isEmpty() && events.peek().atNanos <= network.now()) {
      events.remove().action.run();
      ran++;
    }
    return ran;
  }

  /** When the next event is due; {@link Long#MAX_VALUE} when there is none. */
  long nextEvent() {
    return dead || events.isEmpty() ? Long.MAX_VALUE : events.peek().atNanos;
  }

  /** Messages that were sent and have not ended, and payloads that have not landed. */
  int inFlight() {
    return flights.size() + landing.size();
  }

  /** Whether its cable is pulled. */
  boolean isCutOff() {
    return cutOff;
  }

  /** One of its own messages has ended. */
  void ended(SimFlight flight) {
    flights.remove(flight);
  }

  /** Whether this host was killed or has closed. */
  public boolean isDead() {
    return dead;
  }

  @Override
  public void awaitEvent(long timeoutNanos) {
    throw new AssertionError("a simulation never sleeps");
  }

  @Override
  public void wakeup() {
    // the simulation looks at everybody anyway
  }

  @Override
  public Counters counters() {
    return counters;
  }

  @Override
  public void close() {
    if (!dead) {
      for (SimFlight flight : new ArrayList<>(flights)) {
        flight.failed("closed");
      }
      for (SimFlight flight : new ArrayList<>(landing)) {
        cut(flight, "closed");
      }
      die();
    }
  }
}
