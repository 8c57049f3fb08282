package io.crossmesh.gateway;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.transfer.Mailbox;
import java.util.Optional;

/** What the gateway of an agent reaches beyond planning. */
public interface AgentSide {
  /** The transfer engine. */
  ChannelOpener channels();

  /** What wakes the engine's thread; none without a transport. */
  Optional<Doorbell> bell();

  /** Has the engine's thread look into a mailbox until it is over. */
  void attach(Mailbox mailbox);

  /** Asks other agents who they are and makes them known to the engine; answers who they are. */
  ObjectNode join(JsonValue peers);

  /** The agent's state in numbers. */
  ObjectNode status();
}
