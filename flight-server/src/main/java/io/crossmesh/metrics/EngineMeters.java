package io.crossmesh.metrics;

import io.crossmesh.transfer.Counters.Traffic;
import io.crossmesh.transfer.EngineStatus;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.MeterRegistry;
import io.micrometer.core.instrument.Tags;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.function.ToLongFunction;

/**
 * What the engine counts, as meters over its last reading. The reading is taken once for each
 * scrape, so all numbers of a scrape belong together.
 */
final class EngineMeters {
  private static final List<String> CHANNEL_STATES =
      List.of("claimed", "opening", "open", "closing");

  private final MeterRegistry registry;
  private final Map<String, PeerMeters> peers = new HashMap<>();
  private volatile EngineStatus reading;

  EngineMeters(MeterRegistry registry, EngineStatus first) {
    this.registry = registry;
    this.reading = first;
    gauge("crossmesh.arena.used", "Bytes of the arena in use.", EngineStatus::arenaUsedBytes);
    gauge("crossmesh.arena.budget", "Bytes the arena may take.", EngineStatus::arenaBudgetBytes);
    counter(
        "crossmesh.messages.refused",
        "Messages refused: garbage, strangers, dead steps, duplicates.",
        EngineStatus::droppedMessages);
    counter(
        "crossmesh.chunks.damaged",
        "Chunks that arrived damaged and were asked for again.",
        EngineStatus::damagedChunks);
    traffic("bulk", "sent", Traffic::bulkBytesSent, Traffic::bulkMessagesSent);
    traffic("bulk", "received", Traffic::bulkBytesReceived, Traffic::bulkMessagesReceived);
    traffic("control", "sent", Traffic::controlBytesSent, Traffic::controlMessagesSent);
    traffic("control", "received", Traffic::controlBytesReceived, Traffic::controlMessagesReceived);
    channels("crossmesh.steps.live", "Steps called and not over.", c -> c.liveSteps());
    channels("crossmesh.receipts.out", "Received sets that processes hold.", c -> c.receiptsOut());
    for (String state : CHANNEL_STATES) {
      Gauge.builder("crossmesh.channels", this, self -> self.inState(state))
          .description("Channels by state.")
          .tag("state", state)
          .register(registry);
    }
  }

  /** Takes a new reading; peers met since the last one get their meters. */
  void take(EngineStatus status) {
    for (EngineStatus.Peer peer : status.peers()) {
      peers.computeIfAbsent(peer.host(), host -> new PeerMeters(registry, host)).take(peer);
    }
    reading = status;
  }

  private double inState(String state) {
    return reading.channels().stream().filter(channel -> channel.state().equals(state)).count();
  }

  private void gauge(String name, String description, ToDoubleFunction<EngineStatus> value) {
    Gauge.builder(name, this, self -> value.applyAsDouble(self.reading))
        .description(description)
        .register(registry);
  }

  private void counter(String name, String description, ToDoubleFunction<EngineStatus> value) {
    FunctionCounter.builder(name, this, self -> value.applyAsDouble(self.reading))
        .description(description)
        .register(registry);
  }

  private void traffic(
      String kind,
      String direction,
      ToDoubleFunction<Traffic> bytes,
      ToDoubleFunction<Traffic> messages) {
    Tags tags = Tags.of("kind", kind, "direction", direction);
    FunctionCounter.builder(
            "crossmesh.bytes", this, self -> bytes.applyAsDouble(self.reading.traffic()))
        .description("Payload bytes over the transport; bulk is tensor bytes.")
        .tags(tags)
        .register(registry);
    FunctionCounter.builder(
            "crossmesh.messages", this, self -> messages.applyAsDouble(self.reading.traffic()))
        .description("Messages over the transport; a bulk message is a chunk.")
        .tags(tags)
        .register(registry);
  }

  private void channels(
      String name, String description, ToLongFunction<EngineStatus.Channel> value) {
    gauge(name, description, status -> status.channels().stream().mapToLong(value).sum());
  }

  /** What goes to one other host; who sent what arrives is not known to every transport. */
  private static final class PeerMeters {
    private volatile EngineStatus.Peer peer;

    PeerMeters(MeterRegistry registry, String host) {
      peer = new EngineStatus.Peer(host, 0, false, false, "", Traffic.NONE);
      Gauge.builder("crossmesh.peer.connected", this, self -> self.peer.connected() ? 1 : 0)
          .description("1 while the peer is reached, 0 after it was lost.")
          .tag("peer", host)
          .register(registry);
      FunctionCounter.builder(
              "crossmesh.peer.bytes.sent", this, self -> self.peer.traffic().bulkBytesSent())
          .description("Tensor bytes sent to a peer over the transport.")
          .tag("peer", host)
          .register(registry);
    }

    void take(EngineStatus.Peer taken) {
      peer = taken;
    }
  }
}
