package io.crossmesh.agent;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.json.Json;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.UInt1Vector;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Agents that know each other from the options alone, in whatever order they start. */
@Timeout(300)
class RejoinIT {
  private static final long REJOIN_SECONDS_MAX = 60;

  @TempDir Path directory;

  @Test
  void anAgentThatIsStartedAgainIsFoundByTheOthers() throws Exception {
    int[] ports = freePorts();
    try (RootAllocator allocator = new RootAllocator();
        RunningAgent a = start("a", ports)) {
      FlightClient client = a.client(allocator);
      try {
        put(client, allocator);
        JsonNode first;
        try (RunningAgent b = start("b", ports)) {
          first = b.ready();
          reshardWhenItCan(client, "first");
        }
        try (RunningAgent again = start("b", ports)) {
          assertThat(again.ready().path("epoch")).isNotEqualTo(first.path("epoch"));
          reshardWhenItCan(client, "second");
        }
      } finally {
        client.close();
      }
    }
  }

  private RunningAgent start(String name, int... ports) throws IOException {
    boolean first = name.equals("a");
    return RunningAgent.startAgent(
        directory,
        name,
        "--flight-port",
        String.valueOf(ports[first ? 0 : 1]),
        "--peer",
        "a=127.0.0.1:%d,b=127.0.0.1:%d".formatted(ports[0], ports[1]));
  }

  /** Peers find each other within seconds; until then a reshard is refused. */
  private static void reshardWhenItCan(FlightClient client, String to) {
    ObjectNode request = Json.object().put("v", 1).put("tensor", "w").put("to", to);
    request.set("layout", layout("b"));
    request.put("timeout", 5);
    long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(REJOIN_SECONDS_MAX);
    while (true) {
      try {
        assertThat(RunningAgent.act(client, "reshard", request).path("tensor").textValue())
            .isEqualTo(to);
        return;
      } catch (FlightRuntimeException e) {
        if (System.nanoTime() - limit > 0) {
          throw e;
        }
      }
    }
  }

  private static void put(FlightClient client, RootAllocator allocator) {
    ObjectNode descriptor = Json.object().put("v", 1).put("tensor", "w").put("dtype", "uint8");
    descriptor.putArray("shape").add(3);
    descriptor.set("layout", layout("a"));
    descriptor.put("device", 0);
    try (UInt1Vector column = new UInt1Vector("data", allocator)) {
      column.allocateNew(3);
      for (int i = 0; i < 3; i++) {
        column.set(i, i);
      }
      column.setValueCount(3);
      RunningAgent.put(client, descriptor, column);
    }
  }

  private static ObjectNode layout(String host) {
    ObjectNode json = Json.object().put("spec", "R");
    ObjectNode mesh = json.putObject("mesh");
    mesh.putArray("shape").add(1);
    mesh.putArray("axis_names");
    mesh.putArray("devices").addArray().add(host).add(0);
    return json;
  }

  private static int[] freePorts() throws IOException {
    try (ServerSocket one = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        ServerSocket other = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      return new int[] {one.getLocalPort(), other.getLocalPort()};
    }
  }
}
