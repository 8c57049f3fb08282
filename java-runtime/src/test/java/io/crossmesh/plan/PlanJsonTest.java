package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.fail;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.JsonValue;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class PlanJsonTest {
  private static final ObjectMapper MAPPER = new ObjectMapper();

  private static final String REQUEST =
      """
      {"v":1,
       "meshes":[{"shape":[2],"axis_names":["x"],"devices":[["a",0],["b",0]]},
                 {"shape":[2],"axis_names":[],"devices":[["c",0],["d",0]]}],
       "layouts":[{"mesh":0,"spec":[[0],[]]},{"mesh":1,"spec":[[],[0]]}],
       "tensors":[{"key":"w","shape":[6,5],"dtype":"float32","src":0,"dst":1}],
       "topology":{"hosts":{"a":[{"bandwidth":1e9,"latency":1e-5}],
                            "b":[{"bandwidth":1e9,"latency":0}],
                            "c":[{"bandwidth":2000000000,"latency":0.5}],
                            "d":[{"bandwidth":1e9,"latency":0},{"bandwidth":1e9,"latency":0}]},
                   "limits":[{"hosts":["c","d"],"bandwidth":2e9}]},
       "strategy":"broadcast","order":"size"}
      """;

  private static IntStream seeds() {
    return IntStream.range(0, 40);
  }

  private static ObjectNode tree(String json) {
    try {
      return (ObjectNode) MAPPER.readTree(json);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(e);
    }
  }

  private static void refusedRequest(String pointer, String json, String... message) {
    ObjectNode root = tree(REQUEST);
    String parent = pointer.substring(0, pointer.lastIndexOf('/'));
    String field = pointer.substring(pointer.lastIndexOf('/') + 1);
    JsonNode value;
    try {
      value = MAPPER.readTree(json);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(e);
    }
    switch (root.at(parent)) {
      case ObjectNode object -> object.set(field, value);
      case ArrayNode array -> array.set(Integer.parseInt(field), value);
      default -> throw new IllegalArgumentException(pointer);
    }
    assertThatThrownBy(() -> PlanJson.readRequest(root.toString()))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.LAYOUT))
        .hasMessageContainingAll(message);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void requestsAndPlansSurviveARoundTrip(int seed) {
    RandomRequests requests = new RandomRequests(2000L + seed);
    for (int i = 0; i < 5; i++) {
      PlanRequest request = requests.next();
      assertThat(PlanJson.readRequest(PlanJson.write(request))).isEqualTo(request);
      Plan plan = Planner.plan(request);
      assertThat(PlanJson.readPlan(PlanJson.write(plan))).isEqualTo(plan);
    }
  }

  @Test
  void axisNamesSurviveAndAreNotInTheDigest() {
    PlanRequest request = PlanJson.readRequest(REQUEST);
    assertThat(request.tensors().getFirst().src().mesh().axisNames()).containsExactly("x");
    ObjectNode unnamed = tree(REQUEST);
    ((ObjectNode) unnamed.at("/meshes/0")).putArray("axis_names");
    assertThat(Planner.plan(PlanJson.readRequest(unnamed.toString())).digest())
        .isEqualTo(Planner.plan(request).digest());
  }

  @Test
  void absentTopologyStrategyAndOrderHaveDefaults() {
    ObjectNode root = tree(REQUEST);
    root.remove("strategy");
    root.remove("order");
    root.putNull("topology");
    PlanRequest request = PlanJson.readRequest(root.toString());
    assertThat(request.strategy()).isEqualTo(Strategy.AUTO);
    assertThat(request.order()).isEqualTo(Order.OPTIMAL);
    assertThat(request.topology().hosts()).containsOnlyKeys("a", "b", "c", "d");
    assertThat(request.topology().bandwidth("a")).isEqualTo(1.25e9);
  }

  @Test
  void deadlinesAreReadAndTimesOfArrivalChecked() {
    ObjectNode root = tree(REQUEST);
    ((ObjectNode) root.at("/tensors/0")).put("deadline", 0.25);
    PlanRequest request = PlanJson.readRequest(root.toString());
    assertThat(request.tensors().getFirst().deadline()).hasValue(0.25);
    Plan plan = Planner.plan(request);
    assertThat(plan.finish()).containsExactly(plan.makespan());
    assertThat(plan.lateness()).isEqualTo(plan.makespan() - 0.25).isPositive();
    assertThat(PlanJson.readPlan(PlanJson.write(plan))).isEqualTo(plan);
  }

  @Test
  void plansWrittenBeforeThereWereDeadlinesAreRead() {
    Plan plan = Planner.plan(PlanJson.readRequest(REQUEST));
    ObjectNode root = tree(PlanJson.write(plan));
    root.remove("finish");
    assertThat(PlanJson.readPlan(root.toString())).isEqualTo(plan);
  }

  @Test
  void refusalsNameThePathAndWhatWasExpected() {
    refusedRequest("/v", "2", "version 2");
    refusedRequest("/v", "\"1\"", "request.v", "integer");
    refusedRequest("/tensors/0/src", "2", "request.tensors[0].src", "0 to 1");
    refusedRequest("/tensors/0/src", "-1", "request.tensors[0].src");
    refusedRequest("/tensors/0/shape/1", "-5", "request.tensors[0].shape[1]");
    refusedRequest("/tensors/0/shape/1", "5.0", "request.tensors[0].shape[1]");
    refusedRequest("/tensors/0/shape/1", "9223372036854775808", "shape[1]");
    refusedRequest("/tensors/0/dtype", "\"float33\"", "float33");
    refusedRequest(
        "/tensors/0/shape", "[6]", "'w'", "[6]", "'S0 R'", "2-device mesh of hosts a, b");
    refusedRequest("/tensors/0/deadline", "-1", "request.tensors[0].deadline");
    refusedRequest("/tensors/0/deadline", "1e400", "deadline");
    refusedRequest("/tensors/0/deadline", "\"soon\"", "request.tensors[0].deadline");
    refusedRequest("/tensors", "[]", "0 tensors");
    refusedRequest("/layouts/0/spec", "[[0],[0]]", "twice");
    refusedRequest("/layouts/0/spec", "[[1],[]]", "axis 1");
    refusedRequest("/layouts/1/mesh", "9", "request.layouts[1].mesh");
    refusedRequest("/meshes/0/devices/0", "[\"a\"]", "request.meshes[0].devices[0]", "pair");
    refusedRequest("/meshes/0/devices/0/1", "3000000000", "devices[0][1]");
    refusedRequest("/meshes/0/shape/0", "3", "3 devices but 2");
    refusedRequest("/strategy", "\"tree\"", "'tree'", "send_recv");
    refusedRequest("/order", "\"best\"", "'best'", "naive");
    refusedRequest("/topology/hosts/a/0/bandwidth", "1e400", "bandwidth");
    refusedRequest("/topology/hosts/a", "[]", "'a'");
    refusedRequest("/topology/hosts", "{}", "limit");
    refusedRequest("/topology", "{\"hosts\":{}}", "'a'", "not in the topology");
    refusedRequest("/stratgey", "\"auto\"", "stratgey");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        " ",
        "null",
        "[]",
        "1",
        "{",
        "{}",
        "{\"v\":1}",
        "{\"v\":1,\"v\":1}",
        "{\"v\":1} x",
        "{\"v\":NaN}",
        "\u0000"
      })
  void whatIsNoRequestIsRefused(String text) {
    assertThatThrownBy(() -> PlanJson.readRequest(text))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.LAYOUT));
    assertThatThrownBy(() -> PlanJson.readPlan(text)).isInstanceOf(CrossmeshException.class);
  }

  @Test
  void deepAndLongDocumentsAreRefusedWithoutBeingBuilt() {
    assertThatThrownBy(() -> JsonValue.parse("[".repeat(100_000), "request"))
        .isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> JsonValue.parse("1".repeat(100_000), "request"))
        .isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> JsonValue.parse('"' + "k".repeat(100_000) + '"', "request"))
        .isInstanceOf(CrossmeshException.class);
  }

  private static void refusedPlan(Consumer<ObjectNode> damage, String message) {
    ObjectNode root = tree(PlanJson.write(Planner.plan(PlanJson.readRequest(REQUEST))));
    damage.accept(root);
    assertThatThrownBy(() -> PlanJson.readPlan(root.toString()))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.LAYOUT))
        .hasMessageContaining(message);
  }

  @Test
  void plansThatSayOtherThanTheirMovesAreRefused() {
    refusedPlan(root -> ((ArrayNode) root.at("/moves")).remove(0), "does not reshard");
    refusedPlan(root -> root.put("digest", "0".repeat(64)), "plan.digest");
    refusedPlan(root -> root.put("makespan", 1), "plan.makespan");
    refusedPlan(root -> root.put("lower_bound", 1), "plan.lower_bound");
    refusedPlan(root -> root.put("gap", -1), "plan.gap");
    refusedPlan(root -> ((ArrayNode) root.at("/finish")).set(0, 9), "plan.finish[0]");
    refusedPlan(root -> root.putArray("finish"), "plan.finish");
    refusedPlan(root -> ((ArrayNode) root.at("/tasks")).remove(0), "plan.tasks");
    refusedPlan(root -> ((ObjectNode) root.at("/tasks/1")).put("tensor", 1), "plan.tasks[1]");
    refusedPlan(root -> ((ObjectNode) root.at("/bytes_sent")).put("a", 1), "plan.bytes_sent.a");
    refusedPlan(root -> ((ObjectNode) root.at("/bytes_sent")).put("z", 1), "plan.bytes_sent");
    refusedPlan(root -> ((ObjectNode) root.at("/chosen/0")).put("strategy", "auto"), "chosen");
    refusedPlan(root -> ((ObjectNode) root.at("/chosen/0")).put("chunk_bytes", 1), "chunk_bytes");
    refusedPlan(root -> root.putArray("chosen"), "one item for each tensor");
    refusedPlan(root -> ((ObjectNode) root.at("/moves/0")).put("sender", 7), "moves[0].sender");
    refusedPlan(root -> ((ObjectNode) root.at("/moves/0")).put("tensor", 7), "moves[0].tensor");
    refusedPlan(root -> ((ObjectNode) root.at("/moves/0")).put("end", -1), "moves[0].end");
    refusedPlan(root -> ((ArrayNode) root.at("/moves/0/route")).add("zz"), "not those");
  }

  /** Documents with a few characters changed are read or refused, never anything else. */
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void damagedDocumentsAreReadOrRefused(int seed) {
    Random random = new Random(seed);
    String plan = PlanJson.write(Planner.plan(PlanJson.readRequest(REQUEST)));
    for (int i = 0; i < 100; i++) {
      StringBuilder text = new StringBuilder(random.nextBoolean() ? plan : REQUEST);
      for (int n = 1 + random.nextInt(3); n > 0; n--) {
        damage(text, random);
      }
      String damaged = text.toString();
      readOrRefuse(damaged, PlanJson::readPlan);
      readOrRefuse(damaged, PlanJson::readRequest);
    }
  }

  private static void readOrRefuse(String text, Consumer<String> reader) {
    try {
      reader.accept(text);
    } catch (CrossmeshException refused) {
      assertThat(refused.code()).as(text).isEqualTo(Code.LAYOUT);
    } catch (RuntimeException e) {
      fail(text, e);
    }
  }

  private static void damage(StringBuilder text, Random random) {
    int at = random.nextInt(text.length());
    String token = TOKENS[random.nextInt(TOKENS.length)];
    switch (random.nextInt(4)) {
      case 0 -> text.setCharAt(at, (char) (32 + random.nextInt(95)));
      case 1 -> text.delete(at, Math.min(text.length(), at + 1 + random.nextInt(20)));
      case 2 -> text.insert(at, token);
      default -> {
        // A number elsewhere becomes another one: well-formed documents that lie.
        while (at < text.length() && !Character.isDigit(text.charAt(at))) {
          at++;
        }
        if (at < text.length()) {
          text.replace(at, at + 1, token);
        }
      }
    }
  }

  private static final String[] TOKENS = {
    "0",
    "1",
    "-1",
    "9",
    "99",
    "1e9",
    "1e999",
    "0.5",
    "9223372036854775807",
    "null",
    "[]",
    "{}",
    "\"\"",
    ",",
    "]",
    "}",
    "\"a\"",
    "true",
    "2147483648"
  };
}
