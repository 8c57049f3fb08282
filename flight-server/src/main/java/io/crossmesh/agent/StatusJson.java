package io.crossmesh.agent;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.json.Json;
import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.EngineStatus;

/** A reading of the engine as JSON, for the gateway's and Flight's {@code status}. */
final class StatusJson {
  private StatusJson() {}

  static ObjectNode of(EngineStatus status) {
    ObjectNode json = Json.object().put("host", status.host()).put("epoch", status.epoch());
    var peers = json.putArray("peers");
    for (EngineStatus.Peer peer : status.peers()) {
      ObjectNode one =
          peers
              .addObject()
              .put("host", peer.host())
              .put("epoch", peer.epoch())
              .put("connected", peer.connected());
      one.set("traffic", traffic(peer.traffic()));
    }
    var channels = json.putArray("channels");
    for (EngineStatus.Channel channel : status.channels()) {
      channels
          .addObject()
          .put("name", channel.name())
          .put("id", channel.id())
          .put("state", channel.state())
          .put("live_steps", channel.liveSteps())
          .put("receipts_out", channel.receiptsOut())
          .put("bulk_bytes_sent", channel.bulkBytesSent())
          .put("bulk_bytes_received", channel.bulkBytesReceived());
    }
    json.set("traffic", traffic(status.traffic()));
    json.putObject("arena")
        .put("used", status.arenaUsedBytes())
        .put("budget", status.arenaBudgetBytes());
    return json.put("dropped_messages", status.droppedMessages())
        .put("damaged_chunks", status.damagedChunks());
  }

  private static ObjectNode traffic(Counters.Traffic traffic) {
    return Json.object()
        .put("bulk_bytes_sent", traffic.bulkBytesSent())
        .put("bulk_messages_sent", traffic.bulkMessagesSent())
        .put("bulk_bytes_received", traffic.bulkBytesReceived())
        .put("bulk_messages_received", traffic.bulkMessagesReceived())
        .put("control_bytes_sent", traffic.controlBytesSent())
        .put("control_messages_sent", traffic.controlMessagesSent())
        .put("control_bytes_received", traffic.controlBytesReceived())
        .put("control_messages_received", traffic.controlMessagesReceived());
  }
}
