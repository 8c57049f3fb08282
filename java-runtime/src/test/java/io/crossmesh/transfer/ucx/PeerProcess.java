package io.crossmesh.transfer.ucx;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** A JVM that runs a main class of these tests, with the UCX of this one. */
final class PeerProcess implements AutoCloseable {
  private final Process process;
  private final BufferedReader output;
  private final BufferedWriter input;
  private final List<String> lines = new ArrayList<>();

  PeerProcess(Path temporary, Class<?> main, String... arguments) throws IOException {
    this(temporary, System.getProperty("java.library.path", ""), Map.of(), main, arguments);
  }

  PeerProcess(
      Path temporary,
      String libraryPath,
      Map<String, String> environment,
      Class<?> main,
      String... arguments)
      throws IOException {
    Files.createDirectories(temporary);
    List<String> command = new ArrayList<>();
    command.add(ProcessHandle.current().info().command().orElseThrow());
    command.addAll(
        List.of(
            "-ea",
            "-Xmx512m",
            "--enable-native-access=ALL-UNNAMED",
            "--add-opens=java.base/java.nio=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
            "-Djava.io.tmpdir=" + temporary,
            "-Djava.library.path=" + libraryPath,
            "-cp",
            System.getProperty("java.class.path"),
            main.getName()));
    command.addAll(List.of(arguments));
    ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
    builder.environment().putAll(environment);
    process = builder.start();
    output =
        new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
    input =
        new BufferedWriter(
            new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8));
  }

  void tell(String command) throws IOException {
    input.write(command);
    input.newLine();
    input.flush();
  }

  /** The rest of the next line of output that begins with {@code prefix}. */
  String expect(String prefix) throws Exception {
    return CompletableFuture.supplyAsync(
            () -> {
              try {
                for (String line = output.readLine(); line != null; line = output.readLine()) {
                  lines.add(line);
                  if (line.startsWith(prefix)) {
                    return line.substring(prefix.length());
                  }
                }
              } catch (IOException e) {
                lines.add(e.toString());
              }
              throw new IllegalStateException("no \"" + prefix + "\" in " + lines);
            })
        .get(40, TimeUnit.SECONDS);
  }

  /** Ends it as nothing else would: no shutdown hook, no goodbye. */
  void kill() throws InterruptedException {
    process.destroyForcibly().waitFor();
  }

  /** Stops it in its tracks or lets it go on; its connections stay open. */
  void signal(String name) throws Exception {
    new ProcessBuilder("kill", "-" + name, Long.toString(process.pid())).start().waitFor();
  }

  int exit() throws Exception {
    if (!process.waitFor(30, TimeUnit.SECONDS)) {
      throw new IllegalStateException("does not end: " + lines);
    }
    return process.exitValue();
  }

  @Override
  public void close() {
    process.destroyForcibly();
    try {
      process.waitFor();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
