package io.crossmesh.agent;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.HostPort;
import io.crossmesh.flight.PeerAddress;
import io.crossmesh.flight.Quotas;
import io.crossmesh.flight.TlsFiles;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/**
 * What an agent was told, checked once and never changed. Defaults stand in {@link AgentOptions}.
 *
 * @param name the host's name in meshes; also part of a directory's name
 * @param infoFile where the agent says how to reach it
 * @param bind the address on which Flight and UCX listen
 * @param flightPort 0 for any free port
 * @param metricsPort the loopback port of {@code /metrics}, 0 for any free one; empty for none
 * @param arena the budget for tensor bytes in shared memory
 * @param arenaDirectory a directory in memory, /dev/shm
 * @param transport how agents move bytes between them
 * @param checksums whether chunks of tensors carry a checksum from one agent to another
 * @param lostAfterNanos how long nothing may come of a peer that shares a channel with this agent
 *     before it counts as lost
 * @param spares whether tiles that one other host alone would stage are staged here as well
 * @param peers agents to ask for their addresses at the start; more come by {@code join}
 * @param token opens the Flight door of every agent of the cluster
 * @param tls certificates of the Flight door; without them it is not encrypted
 * @param quotas how much of the Flight door one client may take at a time
 * @param exitWithStdin whether the end of standard input ends the agent
 */
public record AgentConfig(
    String name,
    Path infoFile,
    String bind,
    int flightPort,
    OptionalInt metricsPort,
    DataSize arena,
    Path arenaDirectory,
    TransportKind transport,
    boolean checksums,
    long lostAfterNanos,
    boolean spares,
    List<PeerAddress> peers,
    Token token,
    Optional<TlsFiles> tls,
    Quotas quotas,
    boolean exitWithStdin) {

  /** The least arena that makes sense: one small channel. */
  static final DataSize ARENA_MIN = DataSize.parse("1MiB");

  /**
   * The least {@code --lost-after}: a loaded machine may keep an agent from its core for a while.
   */
  static final long LOST_AFTER_NANOS_MIN = TimeUnit.SECONDS.toNanos(1);

  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,62}");

  /** How agents move bytes between them. */
  public enum TransportKind {
    /** UCX, if the libraries are there; otherwise the agent says why it has no transport. */
    UCX,
    /** Streams at the Flight door, protected as that is. */
    FLIGHT,
    /** None: planning and Flight only. */
    NONE
  }

  /** Yes or no. */
  public enum Switch {
    ON,
    OFF
  }

  /** Whether what is sent carries checksums. */
  public enum Checksums {
    /** Always. */
    ON,
    /** Never. */
    OFF,
    /** Unless no byte leaves the machine, as the agent listens on its loopback only. */
    AUTO;

    /** What it comes to for an agent that listens on an address. */
    boolean isOn(String bind) {
      return this == ON || (this == AUTO && !PublicAddress.isLoopback(bind));
    }
  }

  /** Reads an agent's name and door, {@code b=127.0.0.1:4711}. */
  static PeerAddress peer(String text) {
    int equals = text.indexOf('=');
    if (equals <= 0) {
      throw new IllegalArgumentException("'" + text + "' is not name=host:port");
    }
    return new PeerAddress(
        checkedName(text.substring(0, equals).strip()),
        HostPort.parse(text.substring(equals + 1).strip()));
  }

  public AgentConfig {
    checkedName(name);
    peers = List.copyOf(peers);
    check(flightPort >= 0 && flightPort <= 65_535, "--flight-port is between 0 and 65535");
    check(
        metricsPort.isEmpty() || (metricsPort.getAsInt() >= 0 && metricsPort.getAsInt() <= 65_535),
        "--metrics-port is between 0 and 65535, or 'off'");
    check(!bind.isBlank(), "--bind is empty; 127.0.0.1 is the default");
    check(
        arena.bytes() >= ARENA_MIN.bytes(),
        "--arena %s is less than %s".formatted(arena, ARENA_MIN));
    check(
        lostAfterNanos >= LOST_AFTER_NANOS_MIN,
        "--lost-after is at least 1 second; 15 is the default");
    check(
        Files.isDirectory(arenaDirectory) && Files.isWritable(arenaDirectory),
        "--arena-dir %s is not a writable directory".formatted(arenaDirectory));
    check(
        peers.stream().map(PeerAddress::name).distinct().count() == peers.size(),
        "--peer names one agent twice");
  }

  /** Where others reach the Flight door, if that is stated; a port that is any is not known yet. */
  Optional<HostPort> door() {
    return peers.stream()
        .filter(peer -> peer.name().equals(name))
        .map(PeerAddress::address)
        .findFirst()
        .or(
            () ->
                flightPort == 0 || PublicAddress.isAny(bind)
                    ? Optional.empty()
                    : Optional.of(new HostPort(bind, flightPort)));
  }

  /** The name, if it can name a host and a directory. */
  static String checkedName(String name) {
    check(
        NAME.matcher(name).matches(),
        "'%s' cannot name a host: use letters, digits, dot, dash and underscore, at most 63"
            .formatted(name));
    return name;
  }

  private static void check(boolean holds, String message) {
    if (!holds) {
      throw new CrossmeshException(Code.AGENT_UNAVAILABLE, message + ".");
    }
  }
}
