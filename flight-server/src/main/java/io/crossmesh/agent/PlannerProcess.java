package io.crossmesh.agent;

import io.crossmesh.gateway.GatewayDoor;
import io.crossmesh.gateway.PlannerGateway;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;

/** The planner as a process: the gateway alone, for {@code cm.plan} without a cluster. */
final class PlannerProcess implements AutoCloseable {
  private static final String NO_TRANSPORT =
      "this process only plans; transfers need an agent (crossmesh agent, or cm.LocalCluster)";

  private final GatewayDoor gateway;
  private final InfoFile infoFile;

  private PlannerProcess(GatewayDoor gateway, InfoFile infoFile) {
    this.gateway = gateway;
    this.infoFile = infoFile;
  }

  static PlannerProcess start(Path infoFile) {
    Token token = Token.generate();
    long epoch = Epochs.next();
    PublishedInfo info = new PublishedInfo();
    GatewayDoor door =
        GatewayDoor.open(
            PlannerGateway.planningOnly(
                info::publicly, infoFile.toAbsolutePath().resolveSibling("")),
            token.reveal());
    AgentInfo agent =
        new AgentInfo(
            "planner",
            epoch,
            new AgentInfo.Gateway(door.port(), token, Optional.empty()),
            Optional.empty(),
            Optional.empty(),
            OptionalInt.empty(),
            new AgentInfo.TransportInfo.Missing(NO_TRANSPORT));
    info.set(agent);
    return new PlannerProcess(door, InfoFile.publish(infoFile, agent.withSecrets()));
  }

  @Override
  public void close() {
    infoFile.close();
    gateway.close();
  }
}
