package io.crossmesh.agent;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.bulk.BulkTransport;
import io.crossmesh.json.Json;
import io.crossmesh.memory.Arena;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.EngineStatus;
import io.crossmesh.transfer.Mailbox;
import io.crossmesh.transfer.Participant;
import io.crossmesh.transfer.PeerSpec;
import java.util.List;
import java.util.Optional;

/** The transfer engine of an agent, or the reason why it has none. */
interface Engine extends AutoCloseable {
  /** How peers reach it, or why they cannot. */
  AgentInfo.TransportInfo transport();

  ChannelHandle open(ChannelOpen request, Participant participant);

  /** Its transport, if that is a service at the Flight door. */
  Optional<BulkTransport> bulk();

  /** What wakes its thread; none without a transport. */
  Optional<Doorbell> bell();

  /** Has its thread look into a mailbox until it is over. */
  void attach(Mailbox mailbox);

  void setPeers(List<PeerSpec> peers);

  /** The agent stops: other hosts go on without it in the channels that it has. */
  void leave();

  ObjectNode status();

  /** Its numbers as they are now; empty without a transport. */
  Optional<EngineStatus> reading();

  @Override
  void close();

  /** No transport: planning and Flight work, channels are refused with the reason. */
  record Missing(String host, long epoch, Arena arena, String reason) implements Engine {
    @Override
    public AgentInfo.TransportInfo transport() {
      return new AgentInfo.TransportInfo.Missing(reason);
    }

    @Override
    public ChannelHandle open(ChannelOpen request, Participant participant) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "agent '%s' has no transport for channel '%s': %s."
              .formatted(host, request.name(), reason));
    }

    @Override
    public Optional<BulkTransport> bulk() {
      return Optional.empty();
    }

    @Override
    public Optional<Doorbell> bell() {
      return Optional.empty();
    }

    @Override
    public void attach(Mailbox mailbox) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE, "agent '%s' has no transport: %s.".formatted(host, reason));
    }

    @Override
    public void setPeers(List<PeerSpec> peers) {
      // Nobody to tell.
    }

    @Override
    public void leave() {
      // There are no channels.
    }

    @Override
    public ObjectNode status() {
      ObjectNode json = Json.object().put("host", host).put("epoch", epoch);
      json.putArray("peers");
      json.putArray("channels");
      json.putObject("arena").put("used", arena.used()).put("budget", arena.budget());
      return json;
    }

    @Override
    public Optional<EngineStatus> reading() {
      return Optional.empty();
    }

    @Override
    public void close() {
      // Nothing was started.
    }
  }
}
