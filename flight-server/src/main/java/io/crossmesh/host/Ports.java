package io.crossmesh.host;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;

/** Why a port cannot be listened on, and which process holds it. */
public final class Ports {
  private static final Path PROC = Path.of("/proc");
  private static final String LISTENS = "0A";
  private static final int COMMAND_CHARS_MAX = 120;

  private Ports() {}

  /**
   * The failure of a door that does not open.
   *
   * @param door what does not open, for the message
   * @param option by which another port is chosen
   */
  public static CrossmeshException refused(
      String door, String host, int port, String option, Throwable failure) {
    Throwable deepest = failure;
    while (deepest.getCause() != null) {
      deepest = deepest.getCause();
    }
    String said = String.valueOf(deepest.getMessage());
    return new CrossmeshException(
        Code.AGENT_UNAVAILABLE,
        said.contains("in use")
            ? "%s cannot open: %s has port %d of %s; end it, or choose another %s."
                .formatted(door, holder(port), port, host, option)
            : "%s cannot open on %s port %d: %s; choose another %s."
                .formatted(door, host, port, said, option),
        failure);
  }

  /** Who listens on a port: a process, if this user may see it. */
  private static String holder(int port) {
    try {
      Set<String> sockets = new HashSet<>(listening("net/tcp", port));
      sockets.addAll(listening("net/tcp6", port));
      return process(sockets)
          .orElse(
              "another process, which this user may not see ('ss -ltnp sport = :%d' as root names it),"
                  .formatted(port));
    } catch (IOException e) {
      return "another process";
    }
  }

  /** The sockets that listen on a port, as links of file descriptors name them. */
  private static Set<String> listening(String table, int port) throws IOException {
    Set<String> sockets = new HashSet<>();
    String suffix = ":%04X".formatted(port);
    Path path = PROC.resolve("self").resolve(table);
    if (!Files.exists(path)) {
      return sockets;
    }
    for (String line : Files.readAllLines(path)) {
      List<String> fields = List.of(line.strip().split("\\s+"));
      if (fields.size() > 9
          && fields.get(1).toUpperCase(Locale.ROOT).endsWith(suffix)
          && fields.get(3).equals(LISTENS)) {
        sockets.add("socket:[" + fields.get(9) + "]");
      }
    }
    return sockets;
  }

  private static Optional<String> process(Set<String> sockets) throws IOException {
    try (DirectoryStream<Path> processes = Files.newDirectoryStream(PROC, "[0-9]*")) {
      for (Path process : processes) {
        if (holds(process, sockets)) {
          return Optional.of("process %s (%s)".formatted(process.getFileName(), command(process)));
        }
      }
    }
    return Optional.empty();
  }

  private static boolean holds(Path process, Set<String> sockets) {
    try (DirectoryStream<Path> files = Files.newDirectoryStream(process.resolve("fd"))) {
      for (Path file : files) {
        if (sockets.contains(Files.readSymbolicLink(file).toString())) {
          return true;
        }
      }
    } catch (IOException | java.nio.file.DirectoryIteratorException e) {
      // It has ended, or belongs to somebody else.
      return false;
    }
    return false;
  }

  /** The end of its command line: that of an agent begins with a page of the JVM's options. */
  private static String command(Path process) throws IOException {
    String line =
        new String(Files.readAllBytes(process.resolve("cmdline")), StandardCharsets.UTF_8)
            .replace('\0', ' ')
            .strip();
    int agent = line.indexOf(" agent --name ");
    String shown = agent < 0 ? line : "crossmesh" + line.substring(agent);
    return shown.length() > COMMAND_CHARS_MAX
        ? shown.substring(0, COMMAND_CHARS_MAX) + " ..."
        : shown;
  }
}
