package io.crossmesh.agent;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.AsyncPutListener;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.CallOptions;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.Result;
import org.apache.arrow.flight.grpc.CredentialCallOption;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.VectorSchemaRoot;

/** An agent as a process of its own, started from the shaded jar as the Python client starts it. */
final class RunningAgent implements AutoCloseable {
  static final String TOKEN = "the-token-of-the-cluster";

  private static final long READY_SECONDS_MAX = 60;
  private static final long END_SECONDS_MAX = 20;
  private static final ObjectMapper MAPPER = new ObjectMapper();

  /** Keys that UCX reads before the JVM runs, so that the launcher sets them. */
  private static final Map<String, String> UCX =
      Map.of(
          "UCX_TLS", "tcp,sm,self",
          "UCX_ERROR_SIGNALS", "",
          "UCX_HANDLE_ERRORS", "none",
          "UCX_POSIX_ERROR_HANDLING", "y",
          "UCX_SYSV_ERROR_HANDLING", "y",
          "UCX_WARN_UNUSED_ENV_VARS", "n");

  private final Process process;
  private final Path infoFile;
  private final Path log;
  private final long startedNanos = System.nanoTime();

  private RunningAgent(Process process, Path infoFile, Path log) {
    this.process = process;
    this.infoFile = infoFile;
    this.log = log;
  }

  /** Starts {@code agent} or {@code planner}; does not wait until it is ready. */
  static RunningAgent start(Path directory, String name, String... command) throws IOException {
    Path infoFile = directory.resolve(name + ".json");
    Path log = directory.resolve(name + ".log");
    Files.deleteIfExists(infoFile);
    List<String> line = new ArrayList<>();
    line.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    line.addAll(Arrays.asList(System.getProperty("crossmesh.jvm.flags").split(" ")));
    line.addAll(List.of("-XX:+UseSerialGC", "-Xms32m", "-Xmx512m"));
    line.add("-Djava.io.tmpdir=" + directory);
    String ucx = System.getProperty("crossmesh.ucx.library.path", "");
    if (!ucx.isEmpty()) {
      line.add("-Djava.library.path=" + ucx);
    }
    line.addAll(List.of("-jar", System.getProperty("crossmesh.jar")));
    line.addAll(Arrays.asList(command));
    line.addAll(List.of("--info-file", infoFile.toString(), "--exit-with-stdin"));
    ProcessBuilder builder = new ProcessBuilder(line);
    builder.environment().putAll(UCX);
    builder.environment().put(AgentOptions.TOKEN_VARIABLE, TOKEN);
    builder.redirectErrorStream(true).redirectOutput(log.toFile());
    return new RunningAgent(builder.start(), infoFile, log);
  }

  static RunningAgent startAgent(Path directory, String name, String... more) throws IOException {
    List<String> command = new ArrayList<>(List.of("agent", "--name", name, "--arena", "64MiB"));
    command.addAll(Arrays.asList(more));
    return start(directory, name, command.toArray(String[]::new));
  }

  /** Waits until the info file is there, which is what "ready" means. */
  JsonNode ready() throws IOException, InterruptedException {
    long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(READY_SECONDS_MAX);
    while (!Files.exists(infoFile)) {
      if (process.waitFor(2, TimeUnit.MILLISECONDS) || System.nanoTime() - limit > 0) {
        throw new AssertionError("not ready: " + log());
      }
    }
    return MAPPER.readTree(infoFile.toFile());
  }

  double secondsSinceStart() {
    return (System.nanoTime() - startedNanos) / 1e9;
  }

  /** Processor time so far, of all its threads. */
  double processorSeconds() {
    return process.info().totalCpuDuration().orElseThrow().toMillis() / 1e3;
  }

  /** Resident memory without the arena's pages, in MiB. */
  double residentMebibytes() throws IOException {
    long kibibytes = 0;
    for (String line : Files.readAllLines(Path.of("/proc/" + process.pid() + "/status"))) {
      if (line.startsWith("RssAnon:") || line.startsWith("RssFile:")) {
        kibibytes += Long.parseLong(line.replaceAll("\\D", ""));
      }
    }
    return kibibytes / 1024.0;
  }

  Process process() {
    return process;
  }

  Path infoFile() {
    return infoFile;
  }

  String log() throws IOException {
    return Files.readString(log, StandardCharsets.UTF_8);
  }

  FlightClient client(BufferAllocator allocator) throws IOException, InterruptedException {
    return FlightClient.builder(
            allocator,
            Location.forGrpcInsecure("127.0.0.1", ready().path("flight").path("port").intValue()))
        .build();
  }

  static CallOption[] credentials(String token) {
    return new CallOption[] {
      new CredentialCallOption(headers -> headers.insert("authorization", "Bearer " + token)),
      CallOptions.timeout(60, TimeUnit.SECONDS)
    };
  }

  /** Puts a tile: the one column of a batch, as the descriptor says. */
  static void put(FlightClient client, ObjectNode descriptor, FieldVector column) {
    try (VectorSchemaRoot root = VectorSchemaRoot.of(column)) {
      FlightClient.ClientStreamListener upload =
          client.startPut(
              FlightDescriptor.command(descriptor.toString().getBytes(StandardCharsets.UTF_8)),
              root,
              new AsyncPutListener(),
              credentials(TOKEN));
      upload.putNext();
      upload.completed();
      upload.getResult();
    }
  }

  static JsonNode act(FlightClient client, String type, ObjectNode body) {
    Iterator<Result> results =
        client.doAction(
            new Action(type, body.toString().getBytes(StandardCharsets.UTF_8)), credentials(TOKEN));
    try {
      return MAPPER.readTree(results.next().getBody());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Ends standard input and waits; the exit status. */
  int endInput() throws IOException, InterruptedException {
    process.getOutputStream().close();
    return exit();
  }

  int exit() throws InterruptedException {
    if (!process.waitFor(END_SECONDS_MAX, TimeUnit.SECONDS)) {
      process.destroyForcibly().waitFor();
      throw new AssertionError("the process did not end");
    }
    return process.exitValue();
  }

  @Override
  public void close() {
    process.destroyForcibly();
    process.onExit().join();
  }
}
