package io.crossmesh.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.crossmesh.json.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStatusCode;
import org.apache.arrow.memory.RootAllocator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The agent as a process: what it says of itself, who may speak to it, and how it ends. */
@Timeout(300)
class AgentIT {
  @TempDir Path directory;

  @Test
  void theInfoFileSaysHowToReachIt() throws Exception {
    try (RunningAgent agent = RunningAgent.startAgent(directory, "a")) {
      JsonNode info = agent.ready();
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(agent.infoFile())))
          .isEqualTo("rw-------");
      assertThat(info.path("name").textValue()).isEqualTo("a");
      assertThat(info.path("pid").longValue()).isEqualTo(agent.process().pid());
      assertThat(info.path("epoch").longValue()).isPositive();
      assertThat(info.path("flight").path("token").textValue()).isEqualTo(RunningAgent.TOKEN);
      assertThat(info.path("transport").path("available").booleanValue()).isTrue();
      Path arena = Path.of(info.path("arena").path("path").textValue());
      assertThat(Files.size(arena)).isEqualTo(info.path("arena").path("bytes").longValue());
      assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(arena)))
          .isEqualTo("rw-------");
    }
  }

  @Test
  void bothDoorsWantTheToken() throws Exception {
    try (RunningAgent agent = RunningAgent.startAgent(directory, "a", "--transport", "none");
        RootAllocator allocator = new RootAllocator()) {
      JsonNode info = agent.ready();
      FlightClient client = agent.client(allocator);
      try {
        JsonNode hello = RunningAgent.act(client, "hello", Json.object().put("v", 1));
        assertThat(hello.path("name").textValue()).isEqualTo("a");
        assertThat(hello.path("epoch")).isEqualTo(info.path("epoch"));
        assertThat(hello.toString())
            .doesNotContain(RunningAgent.TOKEN)
            .doesNotContain(info.path("gateway").path("token").textValue());
        assertThatThrownBy(
                () ->
                    client
                        .doAction(new Action("hello"), RunningAgent.credentials("wrong-token"))
                        .forEachRemaining(result -> {}))
            .isInstanceOfSatisfying(
                FlightRuntimeException.class,
                e -> assertThat(e.status().code()).isEqualTo(FlightStatusCode.UNAUTHENTICATED));
      } finally {
        client.close();
      }
      int port = info.path("gateway").path("port").intValue();
      assertThat(hello(port, info.path("gateway").path("token").textValue())).contains("epoch");
      assertThat(hello(port, RunningAgent.TOKEN)).doesNotContain("epoch");
    }
  }

  @Test
  void theEndOfInputEndsItAndLeavesNothing() throws Exception {
    try (RunningAgent agent = RunningAgent.startAgent(directory, "a")) {
      Path own = arena(agent).getParent();
      assertThat(own).isDirectory();
      assertThat(agent.endInput()).isZero();
      assertThat(own).doesNotExist();
      assertThat(agent.infoFile()).doesNotExist();
    }
  }

  @Test
  void aSignalEndsItAndLeavesNothing() throws Exception {
    try (RunningAgent agent = RunningAgent.startAgent(directory, "a")) {
      Path own = arena(agent).getParent();
      agent.process().destroy();
      agent.exit();
      assertThat(own).doesNotExist();
      assertThat(agent.infoFile()).doesNotExist();
    }
  }

  @Test
  void whatAKilledAgentLeavesTheNextOneRemoves() throws Exception {
    Path left;
    try (RunningAgent agent = RunningAgent.startAgent(directory, "a")) {
      left = arena(agent).getParent();
    }
    assertThat(left).isDirectory();
    try (RunningAgent next = RunningAgent.startAgent(directory, "b")) {
      next.ready();
      assertThat(left).doesNotExist();
    }
  }

  @Test
  void thePlannerPlansAndIsNoAgent() throws Exception {
    try (RunningAgent planner = RunningAgent.start(directory, "p", "planner")) {
      JsonNode info = planner.ready();
      System.out.printf("planner: ready after %.2f s%n", planner.secondsSinceStart());
      assertThat(info.path("flight").isNull()).isTrue();
      assertThat(info.path("arena").isNull()).isTrue();
      assertThat(
              hello(
                  info.path("gateway").path("port").intValue(),
                  info.path("gateway").path("token").textValue()))
          .contains("planner");
      assertThat(planner.endInput()).isZero();
    }
  }

  @Test
  void aStartThatCannotBeSaysWhy() throws Exception {
    List<List<String>> wrong =
        List.of(
            List.of("agent"),
            List.of("agent", "--name", "a", "--arena", "lots"),
            List.of("agent", "--name", "../a"),
            List.of("agent", "--name", "a", "--arena-dir", "/no/such/directory"),
            List.of("agent", "--name", "a", "--bind", "192.0.2.1", "--transport", "none"),
            List.of("agent", "--name", "a", "--token-file", "/no/such/file", "--peer", "b"));
    for (List<String> command : wrong) {
      try (RunningAgent agent =
          RunningAgent.start(directory, "wrong", command.toArray(String[]::new))) {
        assertThat(agent.process().waitFor(60, TimeUnit.SECONDS)).as("%s", command).isTrue();
        assertThat(agent.process().exitValue()).as("%s", command).isIn(1, 2);
        assertThat(agent.log()).as("%s", command).isNotBlank().doesNotContain("\tat ");
        assertThat(agent.infoFile()).doesNotExist();
      }
    }
  }

  private static Path arena(RunningAgent agent) throws IOException, InterruptedException {
    return Path.of(agent.ready().path("arena").path("path").textValue());
  }

  private static String hello(int port, String token) throws IOException {
    return GatewayTalk.call(port, token, "c\nt\nhello\ne\n");
  }
}
