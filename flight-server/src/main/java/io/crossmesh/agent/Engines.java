package io.crossmesh.agent;

import io.crossmesh.flight.DoorSecurity;
import io.crossmesh.flight.bulk.BulkTransport;
import io.crossmesh.memory.Arena;
import io.crossmesh.transfer.Contacts;
import io.crossmesh.transfer.ucx.ClusterSecret;
import io.crossmesh.transfer.ucx.UcxLibrary;
import io.crossmesh.transfer.ucx.UcxOptions;
import io.crossmesh.transfer.ucx.UcxTransport;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Starts the engine that the configuration asks for and the machine allows. */
final class Engines {
  private static final Logger LOG = LoggerFactory.getLogger(Engines.class);

  private static final String WITHOUT_UCX =
      "; or start all agents of the cluster with --transport flight, which needs no UCX";

  private Engines() {}

  /**
   * Starts an engine over the transport that is asked for, or stands in for it with the reason. A
   * machine without UCX still plans and serves Flight, so its lack is no failure of the start.
   *
   * @param directory of this agent alone
   * @param security how connections to the doors of other agents are protected
   * @param contacts what is known of the way to other hosts
   * @param refused told of each stranger at a transport with a port of its own, and of each peer
   *     that speaks in another's name
   */
  static Engine start(
      AgentConfig config,
      long epoch,
      Arena arena,
      Path directory,
      DoorSecurity security,
      Contacts contacts,
      Runnable refused) {
    return switch (config.transport()) {
      case NONE ->
          new Engine.Missing(
              config.name(),
              epoch,
              arena,
              "it was started with --transport none; start it with --transport ucx or flight");
      case FLIGHT ->
          RunningEngine.start(
              config,
              epoch,
              arena,
              directory,
              contacts,
              BulkTransport.NAME,
              BulkTransport.VERSION,
              bell -> new BulkTransport(security, config.token().reveal(), bell, refused));
      case UCX ->
          switch (UcxLibrary.probe()) {
            case UcxLibrary.Available(UcxLibrary.Version version) ->
                RunningEngine.start(
                    config,
                    epoch,
                    arena,
                    directory,
                    contacts,
                    "ucx",
                    version.toString(),
                    bell ->
                        new UcxTransport(
                            UcxOptions.bind(
                                config.bind(), ClusterSecret.of(config.token().reveal()), refused),
                            bell));
            case UcxLibrary.Unavailable(String reason) -> {
              String remedies = reason + WITHOUT_UCX;
              LOG.warn("no transfers: {}", remedies);
              yield new Engine.Missing(config.name(), epoch, arena, remedies);
            }
          };
    };
  }
}
