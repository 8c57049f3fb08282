package io.crossmesh.agent;

import io.crossmesh.flight.HostPort;
import io.crossmesh.flight.PeerAddress;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** The line by which an agent says that it is ready, and where everything of it is. */
final class Announcement {
  /** The line waits for the first answers of the peers, but not for peers that are not there. */
  private static final long PEERS_MILLIS_MAX = 1_500;

  private final String line;
  private final Optional<String> misdirection;

  private Announcement(String line, Optional<String> misdirection) {
    this.line = line;
    this.misdirection = misdirection;
  }

  static Announcement of(AgentConfig config, AgentInfo agent, boolean encrypted) {
    StringBuilder line = new StringBuilder("agent '%s' is ready".formatted(agent.name()));
    agent
        .flight()
        .ifPresent(
            door ->
                line.append(
                    ": Flight %s%s"
                        .formatted(
                            new HostPort(config.bind(), door.port()), encrypted ? " (TLS)" : "")));
    switch (agent.transport()) {
      case AgentInfo.TransportInfo.Available there ->
          line.append(
              ", transport %s %s at %s".formatted(there.name(), there.version(), there.address()));
      case AgentInfo.TransportInfo.Missing _ -> line.append(", no transport");
    }
    agent
        .arena()
        .ifPresent(
            memory ->
                line.append(
                    ", arena %s in %s".formatted(config.arena(), memory.path().getParent())));
    agent
        .metricsPort()
        .ifPresent(port -> line.append(", metrics http://127.0.0.1:%d/metrics".formatted(port)));
    line.append(", info file %s".formatted(config.infoFile().toAbsolutePath()));
    return new Announcement(
        line.toString(), agent.flight().flatMap(door -> misdirection(config, door.port())));
  }

  /** What this agent's own entry among the peers says, if others would not find it there. */
  private static Optional<String> misdirection(AgentConfig config, int port) {
    Optional<HostPort> stated =
        config.peers().stream()
            .filter(peer -> peer.name().equals(config.name()))
            .map(PeerAddress::address)
            .findFirst();
    if (stated.isEmpty()) {
      return Optional.empty();
    }
    boolean loopbackOnly =
        PublicAddress.isLoopback(config.bind()) && !PublicAddress.isLoopback(stated.get().host());
    if (!loopbackOnly && stated.get().port() == port) {
      return Optional.empty();
    }
    String remedy =
        loopbackOnly
            ? "--bind %s --flight-port %d".formatted(stated.get().host(), stated.get().port())
            : "--flight-port %d".formatted(stated.get().port());
    return Optional.of(
        "--peer %s=%s names this agent, which listens on %s; start it with %s"
            .formatted(config.name(), stated.get(), new HostPort(config.bind(), port), remedy));
  }

  /** Says it, with the peers that are connected soon. */
  void say(PeerWatch watch, PeerBook book) {
    misdirection.ifPresent(PeopleLog::warn);
    var _ =
        watch
            .firstRound()
            .completeOnTimeout(null, PEERS_MILLIS_MAX, TimeUnit.MILLISECONDS)
            .thenRun(() -> PeopleLog.info(line + ", " + book.summary()));
  }
}
