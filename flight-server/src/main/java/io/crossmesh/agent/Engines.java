package io.crossmesh.agent;

import io.crossmesh.memory.Arena;
import io.crossmesh.transfer.ucx.UcxLibrary;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Starts the engine that the configuration asks for and the machine allows. */
final class Engines {
  private static final Logger LOG = LoggerFactory.getLogger(Engines.class);

  private Engines() {}

  /**
   * Starts an engine over UCX, or stands in for it with the reason. A machine without UCX still
   * plans and serves Flight, so its lack is no failure of the start.
   *
   * @param directory of this agent alone
   */
  static Engine start(AgentConfig config, long epoch, Arena arena, Path directory) {
    return switch (config.transport()) {
      case NONE ->
          new Engine.Missing(
              config.name(),
              epoch,
              arena,
              "it was started with --transport none; start it with --transport ucx");
      case UCX ->
          switch (UcxLibrary.probe()) {
            case UcxLibrary.Available(UcxLibrary.Version version) ->
                UcxEngine.start(config, epoch, arena, directory, version);
            case UcxLibrary.Unavailable(String reason) -> {
              LOG.warn("no transfers: {}", reason);
              yield new Engine.Missing(config.name(), epoch, arena, reason);
            }
          };
    };
  }
}
