package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.MeshJson;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Damaged documents are read or refused with LAYOUT: no other exception, no error of the JVM, and
 * quickly. What is read is a value that can be used: requests are planned, all is written again.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class JsonFuzzTest {
  private static final int INPUTS = 12_500;
  private static final int PLANNED_OF_ACCEPTED = 64;

  private static final String REQUEST =
      """
      {"v":1,
       "meshes":[{"shape":[2,1],"axis_names":["x","y"],"devices":[["a",0],["b",0]]},
                 {"shape":[2],"axis_names":[],"devices":[["c",0],["b",0]]}],
       "layouts":[{"mesh":0,"spec":[[0],[1]]},{"mesh":1,"spec":[[],[0]]}],
       "tensors":[{"key":"w","shape":[6,5],"dtype":"float32","src":0,"dst":1},
                  {"key":"v","shape":[3,4],"dtype":"int8","src":1,"dst":0,"deadline":0.25}],
       "topology":{"hosts":{"a":[{"bandwidth":1e9,"latency":1e-5}],
                            "b":[{"bandwidth":1e9,"latency":0}],
                            "c":[{"bandwidth":2000000000,"latency":0.5},{"bandwidth":1e9,"latency":0}]},
                   "limits":[{"hosts":["b","c"],"bandwidth":2e9}]},
       "strategy":"auto","order":"optimal"}
      """;

  private static LongStream seeds() {
    return LongStream.range(1, 9);
  }

  private record Kind(JsonNode document, Consumer<String> reader) {}

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void damagedDocumentsAreReadOrRefused(long seed) {
    Mutator mutator = new Mutator(seed);
    PlanRequest request = PlanJson.readRequest(REQUEST);
    int[] accepted = new int[1];
    List<Kind> kinds =
        List.of(
            new Kind(Mutator.tree(REQUEST), text -> useRequest(text, accepted)),
            new Kind(
                Mutator.tree(PlanJson.write(Planner.plan(request))),
                text -> PlanJson.write(PlanJson.readPlan(text))),
            new Kind(
                MeshJson.write(request.topology()),
                text -> MeshJson.write(MeshJson.readTopology(JsonValue.parse(text, "topology")))));
    int refused = 0;
    for (int i = 0; i < INPUTS; i++) {
      Kind kind = kinds.get(i % kinds.size());
      refused += isRefused(mutator.mutate(kind.document()), kind.reader(), seed) ? 1 : 0;
    }
    // Both happen often, or the mutations would be too tame or too wild to find anything.
    assertThat(refused).isBetween(INPUTS / 2, INPUTS - INPUTS / 50);
    assertThat(accepted[0]).isGreaterThan(INPUTS / 100);
  }

  private static void useRequest(String text, int[] accepted) {
    PlanRequest request = PlanJson.readRequest(text);
    assertThat(PlanJson.readRequest(PlanJson.write(request))).isEqualTo(request);
    if (accepted[0]++ % PLANNED_OF_ACCEPTED == 0) {
      // Order size is quick however large the damage made a tensor.
      Planner.plan(request.with(request.strategy(), Order.SIZE));
    }
  }

  private static boolean isRefused(String text, Consumer<String> reader, long seed) {
    try {
      reader.accept(text);
      return false;
    } catch (CrossmeshException refused) {
      assertThat(refused.code()).as("seed %d: %s", seed, text).isEqualTo(Code.LAYOUT);
      assertThat(refused.getMessage()).as("seed %d: %s", seed, text).hasSizeLessThan(5000);
      return true;
    } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
      throw new AssertionError("seed %d: %s".formatted(seed, text), e);
    }
  }
}
