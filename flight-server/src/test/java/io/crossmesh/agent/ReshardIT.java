package io.crossmesh.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.json.Json;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.MeshJson;
import io.crossmesh.mesh.Sharding;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.IntVector;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Four agents as processes, joined by their list of peers, resharding over UCX by Flight alone. */
@Timeout(300)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ReshardIT {
  private static final List<Long> SHAPE = List.of(96L, 40L);
  private static final List<String> HOSTS = List.of("a", "b", "c", "d");

  /** The host that a test kills. */
  private static final String MORTAL = "d";

  private final RootAllocator allocator = new RootAllocator();
  private final Map<String, RunningAgent> agents = new LinkedHashMap<>();
  private final Map<String, FlightClient> clients = new LinkedHashMap<>();

  @BeforeAll
  void start(@TempDir Path directory) throws Exception {
    for (String host : HOSTS) {
      agents.put(host, RunningAgent.startAgent(directory, host));
    }
    ObjectNode doors = Json.object();
    for (String host : HOSTS) {
      clients.put(host, agent(host).client(allocator));
      doors.put(host, agent(host).ready().path("flight").path("port").intValue());
    }
    for (String host : HOSTS) {
      GatewayTalk.join(agent(host).ready(), doors);
    }
  }

  @AfterAll
  void stop() throws Exception {
    for (FlightClient client : clients.values()) {
      client.close();
    }
    for (Map.Entry<String, RunningAgent> entry : agents.entrySet()) {
      try (RunningAgent agent = entry.getValue()) {
        if (agent.process().isAlive()) {
          assertThat(agent.endInput()).isZero();
          // A leak of Flight's buffers or of the arena would be an error there.
          assertThat(agent.log()).doesNotContain("ERROR").doesNotContain("Exception");
        }
      }
    }
    assertThat(allocator.getAllocatedMemory()).isZero();
    allocator.close();
  }

  @AfterEach
  void nothingIsLeft() {
    for (String host : List.of("a", "b", "c")) {
      for (String name : List.of("w", "x", "y", "z")) {
        RunningAgent.act(client(host), "drop", Json.object().put("v", 1).put("tensor", name));
      }
      JsonNode status = RunningAgent.act(client(host), "status", Json.object().put("v", 1));
      assertThat(status.path("tensors")).isEmpty();
      assertThat(status.path("reshards").path("active")).isEmpty();
    }
  }

  @Test
  void aTensorIsLaidOutAnewOnOtherHostsByteForByte() throws Exception {
    int[] whole = new Random(11).ints(SHAPE.get(0) * SHAPE.get(1)).toArray();
    Sharding source = Sharding.parse(Mesh.ofHosts(List.of(2, 2), List.of("a", "b")), "S0 S1");
    Sharding target = Sharding.parse(Mesh.ofHosts(List.of(3), List.of("c", "b", "a")), "R S0");
    putAll("w", source, whole);
    JsonNode answer = RunningAgent.act(client("c"), "reshard", reshard("w", "x", target));
    assertThat(answer.path("digest").textValue()).hasSize(64);
    Random random = new Random(12);
    for (String host : List.of("a", "b", "c")) {
      assertThat(slice(host, "x", Box.whole(SHAPE))).isEqualTo(whole);
      for (int i = 0; i < 10; i++) {
        long row = random.nextInt(90);
        long column = random.nextInt(35);
        Box box = Box.of(new long[] {row, column}, new long[] {row + 6, column + 5});
        assertThat(slice(host, "x", box)).as("%s at %s", box, host).isEqualTo(cut(whole, box));
      }
    }
    // Once more, from the new layout: what a reshard made is a tensor like any other.
    RunningAgent.act(client("a"), "reshard", reshard("x", "y", source));
    assertThat(slice("b", "y", Box.whole(SHAPE))).isEqualTo(whole);
  }

  @Test
  void bytesOnTheWireAreThoseThatAreNeeded() throws Exception {
    int[] whole = new int[Math.toIntExact(SHAPE.get(0) * SHAPE.get(1))];
    Sharding source = Sharding.parse(Mesh.ofHosts(List.of(2), List.of("a", "b")), "S0 R");
    Sharding target = Sharding.parse(Mesh.ofHosts(List.of(1), List.of("c")), "R R");
    putAll("w", source, whole);
    long half = 2L * whole.length;
    long sentByA = traffic("a", "bulk_bytes_sent");
    long sentByB = traffic("b", "bulk_bytes_sent");
    long sentByC = traffic("c", "bulk_bytes_sent");
    long received = traffic("c", "bulk_bytes_received");
    RunningAgent.act(client("a"), "reshard", reshard("w", "x", target));
    assertThat(traffic("a", "bulk_bytes_sent") - sentByA).isEqualTo(half);
    assertThat(traffic("b", "bulk_bytes_sent") - sentByB).isEqualTo(half);
    assertThat(traffic("c", "bulk_bytes_sent") - sentByC).isZero();
    assertThat(traffic("c", "bulk_bytes_received") - received).isEqualTo(2 * half);
  }

  @Test
  void aReshardWithoutAHostFailsForAllAndLeavesNothing() throws Exception {
    int[] whole = new int[Math.toIntExact(SHAPE.get(0) * SHAPE.get(1))];
    Sharding source = Sharding.parse(Mesh.ofHosts(List.of(2), List.of("a", "b")), "S0 R");
    Sharding target = Sharding.parse(Mesh.ofHosts(List.of(2), List.of("b", MORTAL)), "S0 R");
    putAll("w", source, whole);
    agent(MORTAL).close();
    assertThatThrownBy(() -> RunningAgent.act(client("a"), "reshard", reshard("w", "x", target)))
        .isInstanceOf(FlightRuntimeException.class);
    assertThatThrownBy(() -> slice("b", "x", Box.whole(SHAPE)))
        .isInstanceOf(FlightRuntimeException.class)
        .hasMessageContaining("'x'");
    Sharding there = Sharding.parse(Mesh.ofHosts(List.of(1), List.of("b")), "R R");
    RunningAgent.act(client("a"), "reshard", reshard("w", "z", there));
    assertThat(slice("a", "z", Box.whole(SHAPE))).isEqualTo(whole);
  }

  @Test
  void aReshardThatIsCancelledEndsForAll() throws Exception {
    int[] whole = new int[Math.toIntExact(SHAPE.get(0) * SHAPE.get(1))];
    Sharding source = Sharding.parse(Mesh.ofHosts(List.of(2), List.of("a", "b")), "S0 R");
    Sharding target = Sharding.parse(Mesh.ofHosts(List.of(1), List.of("c")), "R R");
    putAll("w", source, whole);
    // Cancelled before it is asked for: whatever the timing, it must not happen.
    RunningAgent.act(client("b"), "cancel", Json.object().put("v", 1).put("id", "mine"));
    CompletableFuture<JsonNode> answer =
        CompletableFuture.supplyAsync(
            () ->
                RunningAgent.act(
                    client("a"), "reshard", reshard("w", "x", target).put("id", "mine")));
    assertThatThrownBy(() -> answer.get(60, TimeUnit.SECONDS)).hasMessageContaining("cancelled");
  }

  private long traffic(String host, String counter) {
    return RunningAgent.act(client(host), "status", Json.object().put("v", 1))
        .path("traffic")
        .path(counter)
        .longValue();
  }

  private static ObjectNode reshard(String from, String to, Sharding layout) {
    ObjectNode json = Json.object().put("v", 1).put("tensor", from).put("to", to);
    json.set("layout", layout(layout));
    return json.put("timeout", 20);
  }

  private static ObjectNode layout(Sharding layout) {
    ObjectNode json = Json.object();
    json.set("mesh", MeshJson.write(layout.mesh()));
    json.set("spec", MeshJson.writeSpec(layout));
    return json;
  }

  private void putAll(String name, Sharding layout, int[] whole) {
    for (int device = 0; device < layout.mesh().size(); device++) {
      ObjectNode descriptor = Json.object().put("v", 1).put("tensor", name).put("dtype", "int32");
      SHAPE.forEach(descriptor.putArray("shape")::add);
      descriptor.set("layout", layout(layout));
      descriptor.put("device", device);
      put(client(layout.mesh().hostOf(device)), descriptor, cut(whole, layout.tile(SHAPE, device)));
    }
  }

  private void put(FlightClient client, ObjectNode descriptor, int[] tile) {
    try (IntVector column = new IntVector("data", allocator)) {
      column.allocateNew(tile.length);
      for (int i = 0; i < tile.length; i++) {
        column.set(i, tile[i]);
      }
      column.setValueCount(tile.length);
      RunningAgent.put(client, descriptor, column);
    }
  }

  private RunningAgent agent(String host) {
    return Objects.requireNonNull(agents.get(host), host);
  }

  private FlightClient client(String host) {
    return Objects.requireNonNull(clients.get(host), host);
  }

  private int[] slice(String host, String name, Box box) throws Exception {
    ObjectNode ticket = Json.object().put("v", 1).put("tensor", name);
    ticket.set("box", MeshJson.write(box));
    List<Integer> elements = new ArrayList<>();
    FlightStream stream =
        client(host)
            .getStream(
                new Ticket(ticket.toString().getBytes(StandardCharsets.UTF_8)),
                RunningAgent.credentials(RunningAgent.TOKEN));
    try {
      while (stream.next()) {
        IntVector column = (IntVector) stream.getRoot().getVector(0);
        for (int i = 0; i < column.getValueCount(); i++) {
          elements.add(column.get(i));
        }
      }
    } finally {
      stream.close();
    }
    return elements.stream().mapToInt(Integer::intValue).toArray();
  }

  private static int[] cut(int[] whole, Box box) {
    int[] part = new int[Math.toIntExact(box.volume())];
    int at = 0;
    for (long row = box.lo(0); row < box.hi(0); row++) {
      for (long column = box.lo(1); column < box.hi(1); column++) {
        part[at++] = whole[Math.toIntExact(row * SHAPE.get(1) + column)];
      }
    }
    return part;
  }
}
