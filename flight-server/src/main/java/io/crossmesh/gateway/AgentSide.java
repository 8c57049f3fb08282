package io.crossmesh.gateway;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.mesh.JsonValue;

/** What the gateway of an agent reaches beyond planning. */
public interface AgentSide {
  /** The transfer engine. */
  ChannelOpener channels();

  /** Asks other agents who they are and makes them known to the engine; answers who they are. */
  ObjectNode join(JsonValue peers);

  /** The agent's state in numbers. */
  ObjectNode status();
}
