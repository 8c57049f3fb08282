package io.crossmesh.agent;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.Askers;
import io.crossmesh.flight.PeerAddress;
import io.crossmesh.json.Json;
import io.crossmesh.transfer.Contacts;
import io.crossmesh.transfer.EngineStatus;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.Function;
import java.util.function.LongSupplier;
import java.util.stream.Collectors;

/**
 * The agents that this one was told of, and those that ask for it without being known: the state of
 * each, for the log, for {@code status} and for channels that do not open. Thread-safe.
 */
final class PeerBook implements Contacts, Askers {
  /** Agents that ask without being known; those beyond go unmentioned. */
  private static final int UNLISTED_MAX = 64;

  private final String self;
  private volatile String transport = "none";
  private final LongSupplier clock;
  private final Map<String, PeerAddress> listed = new ConcurrentSkipListMap<>();
  private final Map<String, PeerState> states = new ConcurrentSkipListMap<>();

  PeerBook(String self, LongSupplier clock) {
    this.self = self;
    this.clock = clock;
  }

  /** Tells by what this agent moves bytes, before any other is listed. */
  void movesBy(String name) {
    transport = name;
  }

  /** Agents that are asked from now on; this agent itself is left out. */
  void list(List<PeerAddress> addresses) {
    for (PeerAddress address : addresses) {
      if (!address.name().equals(self)) {
        listed.put(address.name(), address);
        state(address.name()).listed(address.address());
      }
    }
  }

  List<PeerAddress> listed() {
    return List.copyOf(listed.values());
  }

  PeerState state(String name) {
    return states.computeIfAbsent(
        name, unknown -> new PeerState(name, transport, clock.getAsLong()));
  }

  @Override
  public List<String> hosts() {
    return List.copyOf(states.keySet());
  }

  @Override
  public Optional<String> trouble(String host) {
    PeerState state = states.get(host);
    return state == null
        ? Optional.of(
            "agent '%s' was not told of it; start '%s' with --peer %s=HOST:PORT"
                .formatted(self, self, host))
        : state.trouble();
  }

  @Override
  public Optional<String> asked(Asker asker) {
    String name = asker.name();
    if (name.equals(self)) {
      return Optional.empty();
    }
    if (!listed.containsKey(name)) {
      if (!namesHost(name) || states.size() - listed.size() >= UNLISTED_MAX) {
        return Optional.empty();
      }
      state(name).unlisted(asker.door(), self);
    }
    return state(name).ownTrouble();
  }

  private static boolean namesHost(String name) {
    try {
      AgentConfig.checkedName(name);
      return true;
    } catch (CrossmeshException e) {
      return e.code() != Code.AGENT_UNAVAILABLE;
    }
  }

  /** Takes what the engine says of its peers. */
  void engine(Optional<EngineStatus> reading) {
    Map<String, EngineStatus.Peer> known =
        reading.map(EngineStatus::peers).orElse(List.of()).stream()
            .collect(Collectors.toMap(EngineStatus.Peer::host, Function.identity()));
    states.forEach((name, state) -> state.engine(Optional.ofNullable(known.get(name))));
  }

  /** What is new since the last time. */
  List<PeerState.News> news() {
    List<PeerState.News> news = new ArrayList<>();
    states.values().forEach(state -> state.news(clock.getAsLong()).ifPresent(news::add));
    return news;
  }

  /** How many are listed, and which of them are connected, for a line of the log. */
  String summary() {
    List<String> connected =
        listed.keySet().stream().filter(name -> state(name).connected()).toList();
    return listed.isEmpty()
        ? "no peers"
        : "%d of %d peers connected%s"
            .formatted(
                connected.size(),
                listed.size(),
                connected.isEmpty() || connected.size() > 16
                    ? ""
                    : " (" + String.join(", ", connected) + ")");
  }

  /** Adds the state of each to the peers of a status; those that the engine lacks are appended. */
  void describe(ObjectNode status) {
    ArrayNode peers = status.withArrayProperty("peers");
    Set<String> there = new HashSet<>();
    peers.forEach(
        peer -> {
          String host = peer.path("host").asText();
          there.add(host);
          PeerState state = states.get(host);
          if (state != null && peer instanceof ObjectNode json) {
            state.describe(json);
          }
        });
    states.forEach(
        (host, state) -> {
          if (!there.contains(host)) {
            ObjectNode json = peers.addObject().put("host", host).put("connected", false);
            json.putNull("epoch").set("traffic", Json.object());
            state.describe(json);
          }
        });
  }
}
