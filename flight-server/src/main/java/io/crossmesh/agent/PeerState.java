package io.crossmesh.agent;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.flight.Hello;
import io.crossmesh.flight.HostPort;
import io.crossmesh.flight.Peers;
import io.crossmesh.transfer.EngineStatus;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * What this agent knows of the way to one other: whether its Flight door says who it is, whether it
 * reaches this agent in turn, and whether messages of the transport come. Thread-safe.
 */
final class PeerState {
  /** Agents that start together do not find each other at once, and need no line in the log. */
  static final long GRACE_NANOS = TimeUnit.SECONDS.toNanos(2);

  /** The first answer of a young JVM takes seconds of a loaded machine. */
  private static final long UNANSWERED_GRACE_NANOS = TimeUnit.SECONDS.toNanos(4);

  private final String name;
  private final String transport;
  private Optional<HostPort> address = Optional.empty();
  private Optional<String> door;
  private boolean asked;
  private Optional<String> theirs = Optional.empty();
  private Optional<Hello> hello = Optional.empty();
  private Optional<EngineStatus.Peer> engine = Optional.empty();
  private Optional<String> said = Optional.empty();
  private Optional<String> seen = Optional.empty();
  private boolean connected;
  private long troubledSinceNanos;

  /**
   * @param transport by which this agent moves bytes; "none" if by nothing
   */
  PeerState(String name, String transport, long nowNanos) {
    this.name = name;
    this.transport = transport;
    this.troubledSinceNanos = nowNanos;
    this.door = Optional.of("it was not asked yet who it is");
  }

  /** It has asked for this agent, which does not know where it is. */
  synchronized void unlisted(Optional<String> at, String self) {
    if (address.isEmpty()) {
      asked = true;
      door =
          Optional.of(
              "agent '%s' has no --peer for '%s'; start '%s' with --peer %s=%s"
                  .formatted(self, name, self, name, at.orElse("HOST:PORT")));
    }
  }

  /** It is asked at an address from now on. */
  synchronized void listed(HostPort at) {
    if (!address.equals(Optional.of(at))) {
      asked = false;
      address = Optional.of(at);
      door =
          Optional.of(
              "%s has not said yet which agent it is; look at the process there".formatted(at));
    }
  }

  synchronized void met(Peers.Met met) {
    asked = true;
    door = Optional.empty();
    hello = Optional.of(met.hello());
    theirs = met.trouble();
  }

  synchronized void failed(String reason) {
    asked = true;
    door = Optional.of(reason);
  }

  /** What the engine says of it; empty if it does not know it. */
  synchronized void engine(Optional<EngineStatus.Peer> reading) {
    engine = reading;
  }

  /** Whether tensors can go both ways as far as was seen. */
  synchronized boolean connected() {
    return trouble().isEmpty();
  }

  /** Why it is not connected and the remedy, as a clause; empty if it is. */
  synchronized Optional<String> trouble() {
    if (door.isPresent()) {
      return door;
    }
    if (transport.equals("none")) {
      return theirs.map(this::back);
    }
    return engine.isPresent() && engine.get().answered()
        ? Optional.empty()
        : withoutTransport().or(() -> theirs.map(this::back)).or(this::silence);
  }

  /** The trouble that is seen from here alone: what the other is told when it asks. */
  synchronized Optional<String> ownTrouble() {
    return door;
  }

  private Optional<String> withoutTransport() {
    return hello.isPresent() && hello.get().transport().isEmpty()
        ? Optional.of("it has no transport; run crossmesh doctor on its host")
        : Optional.empty();
  }

  private String back(String trouble) {
    return "it answers, but does not reach this agent: " + trouble;
  }

  private Optional<String> silence() {
    String at = hello.flatMap(Hello::transport).map(Hello.Transport::address).orElse("?");
    String loss = engine.map(EngineStatus.Peer::loss).orElse("");
    return Optional.of(
        loss.isEmpty()
            ? "its Flight door answers, but nothing comes from it over %s (%s); let TCP between both hosts through to all ports"
                .formatted(transport, at)
            : "its Flight door answers, but the connection over %s (%s) ended: %s; look at its log and at the network"
                .formatted(transport, at, loss));
  }

  /** What is new since the last time, for the log: each change once, trouble only when it lasts. */
  synchronized Optional<News> news(long nowNanos) {
    Optional<String> trouble = trouble();
    if (!trouble.equals(seen)) {
      seen = trouble;
      troubledSinceNanos = nowNanos;
    }
    if (trouble.isEmpty()) {
      boolean known = connected;
      boolean mended = said.isPresent();
      connected = true;
      said = trouble;
      return known && !mended
          ? Optional.empty()
          : Optional.of(new News(mended, "peer '%s'%s is connected".formatted(name, at())));
    }
    if (nowNanos - troubledSinceNanos < (asked ? GRACE_NANOS : UNANSWERED_GRACE_NANOS)
        || said.equals(trouble)) {
      return Optional.empty();
    }
    said = trouble;
    return Optional.of(
        new News(true, "peer '%s'%s is not connected: %s".formatted(name, at(), trouble.get())));
  }

  private String at() {
    return address.map(door -> " at " + door).orElse("");
  }

  synchronized void describe(ObjectNode json) {
    Optional<String> trouble = trouble();
    json.put("address", address.map(HostPort::toString).orElse(null))
        .put("state", trouble.isEmpty() ? "connected" : "not connected")
        .put("reason", trouble.orElse(null));
  }

  /**
   * A line for the log.
   *
   * @param loud whether it says or ends a trouble that was said
   */
  record News(boolean loud, String text) {}
}
