package io.crossmesh.agent;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.FileFailures;
import io.crossmesh.flight.PeerAddress;
import io.crossmesh.flight.TlsFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The options of {@code agent}, with their defaults beside them. */
final class AgentOptions {
  /** The environment's name for the cluster's token. */
  static final String TOKEN_VARIABLE = "CROSSMESH_TOKEN";

  @Option(
      names = "--name",
      required = true,
      paramLabel = "NAME",
      description = "The host's name in meshes.")
  private String name = "";

  @Option(
      names = "--info-file",
      required = true,
      paramLabel = "FILE",
      description =
          "Where to write ports and tokens once ready (mode 0600). The command crossmesh has a default.")
  private Path infoFile = Path.of("");

  @Option(
      names = "--bind",
      defaultValue = "127.0.0.1",
      paramLabel = "ADDRESS",
      description = "Address on which Flight and UCX listen. Default: ${DEFAULT-VALUE}.")
  private String bind = "";

  @Option(
      names = "--allow-public",
      description = "Let a transport that is not encrypted listen on a public --bind address.")
  private boolean allowPublic;

  @Option(
      names = "--flight-port",
      defaultValue = "0",
      paramLabel = "PORT",
      description = "Port of the Flight door; 0 is any free one.")
  private int flightPort;

  @Option(
      names = "--metrics-port",
      defaultValue = "0",
      paramLabel = "PORT|off",
      description = "Loopback port of /metrics for Prometheus; 0 is any free one.")
  private String metricsPort = "0";

  @Option(
      names = "--arena",
      defaultValue = "1GiB",
      paramLabel = "SIZE",
      description = "Budget for tensor bytes in shared memory. Default: ${DEFAULT-VALUE}.")
  private DataSize arena = new DataSize(0);

  @Option(
      names = "--arena-dir",
      defaultValue = "/dev/shm",
      paramLabel = "DIR",
      description = "Directory in memory for the arena. Default: ${DEFAULT-VALUE}.")
  private Path arenaDirectory = Path.of("");

  @Option(
      names = "--transport",
      defaultValue = "ucx",
      paramLabel = "NAME",
      description = "How agents move bytes: ucx, flight or none. Default: ${DEFAULT-VALUE}.")
  private AgentConfig.TransportKind transport = AgentConfig.TransportKind.UCX;

  @Option(
      names = "--checksums",
      defaultValue = "auto",
      paramLabel = "on|off|auto",
      description =
          "Checksum what is sent: damaged bytes are found and sent again. auto: unless --bind is"
              + " this machine's loopback. Default: ${DEFAULT-VALUE}.")
  private AgentConfig.Checksums checksums = AgentConfig.Checksums.AUTO;

  @Option(
      names = "--lost-after",
      defaultValue = "15",
      paramLabel = "SECONDS",
      description =
          "How long a peer that shares a channel may be silent before it counts as lost. Default: ${DEFAULT-VALUE}.")
  private double lostAfter;

  @Option(
      names = "--spares",
      defaultValue = "on",
      paramLabel = "on|off",
      description =
          "Stage a second copy of each tile that one host alone would stage and another holds, so"
              + " that steps survive the loss of the first. Default: ${DEFAULT-VALUE}.")
  private AgentConfig.Switch spares = AgentConfig.Switch.ON;

  @Option(
      names = "--peer",
      split = ",",
      paramLabel = "NAME=HOST:PORT",
      description =
          "Another agent's Flight door; repeat, or separate by commas. This host's own may be among them.")
  private List<PeerAddress> peers = new ArrayList<>();

  @Option(
      names = "--token-file",
      paramLabel = "FILE",
      description = "File with the cluster's token; $CROSSMESH_TOKEN wins. Neither: a new token.")
  private @Nullable Path tokenFile;

  @Mixin private TlsOptions tls = new TlsOptions();

  @Mixin private QuotaOptions quotas = new QuotaOptions();

  @Option(
      names = "--exit-with-stdin",
      description = "End when standard input ends, as it does when the starter dies.")
  private boolean exitWithStdin;

  /**
   * Checks everything and freezes it.
   *
   * @throws CrossmeshException with {@link Code#AGENT_UNAVAILABLE} that names the option
   */
  AgentConfig freeze(Map<String, String> environment) {
    Optional<TlsFiles> certificates = tls.freeze();
    if (!allowPublic && PublicAddress.is(bind)) {
      switch (transport) {
        case UCX -> refusePublic("UCX is neither encrypted nor authenticated");
        case FLIGHT -> {
          if (certificates.isEmpty()) {
            refusePublic("without --tls-cert nothing that moves is encrypted");
          }
        }
        case NONE -> {}
      }
    }
    return new AgentConfig(
        name,
        infoFile,
        bind,
        flightPort,
        metricsPort(),
        arena,
        arenaDirectory,
        transport,
        checksums.isOn(bind),
        Math.round(lostAfter * TimeUnit.SECONDS.toNanos(1)),
        spares == AgentConfig.Switch.ON,
        peers,
        token(environment),
        certificates,
        quotas.freeze(),
        exitWithStdin);
  }

  private void refusePublic(String why) {
    throw new CrossmeshException(
        Code.AGENT_UNAVAILABLE,
        "--bind %s is a public address, and %s; bind to a private one, move bytes over --transport flight with --tls-cert, or say --allow-public."
            .formatted(bind, why));
  }

  private OptionalInt metricsPort() {
    if (metricsPort.equalsIgnoreCase("off")) {
      return OptionalInt.empty();
    }
    try {
      return OptionalInt.of(Integer.parseInt(metricsPort));
    } catch (NumberFormatException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "--metrics-port is a number or 'off', not '%s'.".formatted(metricsPort),
          e);
    }
  }

  private Token token(Map<String, String> environment) {
    String fromEnvironment = environment.getOrDefault(TOKEN_VARIABLE, "");
    try {
      if (!fromEnvironment.isEmpty()) {
        return Token.of(fromEnvironment);
      }
      if (tokenFile != null) {
        if (Files.size(tokenFile) > 2L * Token.LENGTH_MAX) {
          throw new IllegalArgumentException(tokenFile + " is too large for a token");
        }
        return Token.of(Files.readString(tokenFile).strip());
      }
      List<String> others =
          peers.stream().map(PeerAddress::name).filter(peer -> !peer.equals(name)).toList();
      if (!others.isEmpty()) {
        throw new CrossmeshException(
            Code.AUTH,
            "--peer names other agents (%s), but there is no token that they share; set %s or --token-file to the same token on every host, made by: openssl rand -hex 32."
                .formatted(String.join(", ", others), TOKEN_VARIABLE));
      }
      return Token.generate();
    } catch (IOException e) {
      throw new CrossmeshException(
          Code.AUTH,
          "cannot read the token file " + tokenFile + ": " + FileFailures.reason(e) + ".",
          e);
    } catch (IllegalArgumentException e) {
      throw new CrossmeshException(Code.AUTH, "the token is refused: " + e.getMessage() + ".", e);
    }
  }
}
