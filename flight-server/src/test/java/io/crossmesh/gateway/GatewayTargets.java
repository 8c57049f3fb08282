package io.crossmesh.gateway;

import static io.crossmesh.fuzz.FuzzTarget.documents;
import static java.nio.charset.StandardCharsets.UTF_8;

import io.crossmesh.fuzz.FuzzTarget;
import io.crossmesh.fuzz.FuzzTargets;
import io.crossmesh.json.Json;
import io.crossmesh.mesh.JsonValue;
import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.StringReader;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import py4j.Gateway;
import py4j.Py4JException;

/**
 * What a client on this host says: requests to open channels, Py4J's lines, records of its ring.
 */
public final class GatewayTargets implements FuzzTargets {
  @Override
  public List<FuzzTarget> open(Path directory) {
    PlannerGateway planner =
        PlannerGateway.planningOnly(() -> Json.object().put("name", "planner"), directory);
    return List.of(
        documents(
            "channel request",
            List.of(PlannerGatewayTest.CHANNEL),
            text -> ChannelRequests.read(JsonValue.parse(text, "channel"), "the fuzzer")),
        new FuzzTarget(
            "py4j command",
            false,
            List.of(
                "t\nhello\ne\n".getBytes(UTF_8),
                "t\nplanJson\ni77777\ne\n".getBytes(UTF_8),
                "t\nplanCompare\nL99\nscheap\ne\n".getBytes(UTF_8)),
            Set.of(),
            FuzzTarget.ALLOCATED_MAX,
            input -> command(planner, new String(input, UTF_8)),
            planner::close),
        RingTarget.of(directory));
  }

  /** The lines after the command's own name; answered, or refused in Py4J's words. */
  private static boolean command(PlannerGateway planner, String lines) {
    EntryPointCommand command = new EntryPointCommand();
    command.init(new Gateway(planner), null);
    StringWriter answer = new StringWriter();
    try (BufferedWriter writer = new BufferedWriter(answer)) {
      command.execute("c", new BufferedReader(new StringReader(lines)), writer);
    } catch (Py4JException e) {
      return false;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    if (!answer.toString().startsWith("!y") && !answer.toString().startsWith("!x")) {
      throw new AssertionError("no answer of Py4J's: " + answer);
    }
    if (answer.toString().contains("unforeseen")) {
      throw new AssertionError(answer.toString());
    }
    return answer.toString().startsWith("!y");
  }
}
