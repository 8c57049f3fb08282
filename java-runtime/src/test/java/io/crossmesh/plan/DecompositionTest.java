package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class DecompositionTest {
  private static final int REQUESTS_PER_SEED = 20;

  private static IntStream seeds() {
    return IntStream.range(0, 40);
  }

  private static List<UnitTask> tasks(PlanRequest request) {
    Network network = new Network(request.topology(), request.hosts());
    return Decomposition.of(request.tensors(), network).stream()
        .flatMap(List::stream)
        .map(Cell::task)
        .toList();
  }

  /** Every pair of distinct tiles that meet, found the slow way. */
  private static List<UnitTask> expected(PlanRequest request) {
    List<UnitTask> tasks = new ArrayList<>();
    for (int t = 0; t < request.tensors().size(); t++) {
      TensorReshard reshard = request.tensors().get(t);
      Map<Box, List<Integer>> src = tiles(reshard.src(), reshard.tensor().shape());
      Map<Box, List<Integer>> dst = tiles(reshard.dst(), reshard.tensor().shape());
      for (Map.Entry<Box, List<Integer>> from : src.entrySet()) {
        for (Map.Entry<Box, List<Integer>> to : dst.entrySet()) {
          int tensor = t;
          from.getKey()
              .intersect(to.getKey())
              .ifPresent(
                  box -> tasks.add(new UnitTask(tensor, box, from.getValue(), to.getValue())));
        }
      }
    }
    return tasks;
  }

  private static Map<Box, List<Integer>> tiles(Sharding sharding, List<Long> shape) {
    Map<Box, List<Integer>> tiles = new HashMap<>();
    for (int device = 0; device < sharding.mesh().size(); device++) {
      tiles.computeIfAbsent(sharding.tile(shape, device), box -> new ArrayList<>()).add(device);
    }
    return tiles;
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void unitTasksAreThePairsOfDistinctTilesThatMeet(int seed) {
    RandomRequests requests = new RandomRequests(3000L + seed);
    for (int i = 0; i < REQUESTS_PER_SEED; i++) {
      PlanRequest request = requests.next();
      assertThat(tasks(request))
          .as("%s", request)
          .containsExactlyInAnyOrderElementsOf(expected(request));
    }
  }

  private static List<String> boxes(String from, String to, int parts, Long... shape) {
    Mesh src = Mesh.ofHosts(List.of(2, 2), List.of("a", "b"));
    Mesh dst = Mesh.ofHosts(List.of(parts), List.of("c"));
    TensorReshard reshard =
        new TensorReshard(
            new TensorSpec("w", List.of(shape), DType.of("int8")),
            Sharding.parse(src, from),
            Sharding.parse(dst, to));
    return tasks(new PlanRequest(List.of(reshard), Strategy.AUTO, Order.SIZE)).stream()
        .map(task -> task.box() + " " + task.senders() + " > " + task.receivers())
        .toList();
  }

  @Test
  void unevenBlocksMeetInTheRangesBetweenTheCutsOfBoth() {
    // 7 over 4: 2 2 2 1. 7 over 3: 3 3 1.
    assertThat(boxes("S01", "S0", 3, 7L))
        .containsExactly(
            "[0:2] [0] > [0]",
            "[2:3] [1] > [0]",
            "[3:4] [1] > [1]",
            "[4:6] [2] > [1]",
            "[6:7] [3] > [2]");
  }

  @Test
  void blocksBeyondTheEndHaveNoTask() {
    // 5 over 4: 2 2 1 0. 5 over 5: one each.
    assertThat(boxes("S01", "S0", 5, 5L))
        .containsExactly(
            "[0:1] [0] > [0]",
            "[1:2] [0] > [1]",
            "[2:3] [1] > [2]",
            "[3:4] [1] > [3]",
            "[4:5] [2] > [4]");
    assertThat(boxes("S01", "R", 2, 0L)).isEmpty();
  }

  @Test
  void axesInTheOtherOrderAreOtherHolders() {
    assertThat(boxes("S10", "R", 1, 4L))
        .containsExactly(
            "[0:1] [0] > [0]", "[1:2] [2] > [0]", "[2:3] [1] > [0]", "[3:4] [3] > [0]");
  }

  @Test
  void replicasAreInOneTaskTogether() {
    assertThat(boxes("R S1", "S0 R", 2, 2L, 2L))
        .containsExactly(
            "[0:1, 0:1] [0, 2] > [0]",
            "[0:1, 1:2] [1, 3] > [0]",
            "[1:2, 0:1] [0, 2] > [1]",
            "[1:2, 1:2] [1, 3] > [1]");
  }

  @Test
  void tasksOfATensorAreRowMajor() {
    Set<String> order = new LinkedHashSet<>(boxes("S0 S1", "R S0", 2, 4L, 4L));
    assertThat(order).hasSize(4).first().isEqualTo("[0:2, 0:2] [0] > [0]");
  }
}
