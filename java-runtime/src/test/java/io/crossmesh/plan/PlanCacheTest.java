package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class PlanCacheTest {
  private final PlanCache cache = new PlanCache();

  private static PlanRequest request(String key, List<String> axes) {
    Mesh src = new Mesh(List.of(2), axes, Mesh.ofHosts(List.of(2), List.of("a", "b")).devices());
    Mesh dst = Mesh.ofHosts(List.of(2), List.of("c", "d"));
    return new PlanRequest(
        List.of(
            new TensorReshard(
                new TensorSpec(key, List.of(8L, 8L), DType.of("float32")),
                Sharding.parse(src, "S0 R"),
                Sharding.parse(dst, "R S0"))),
        Strategy.AUTO,
        Order.OPTIMAL);
  }

  @Test
  void anEqualRequestIsPlannedOnce() {
    Plan first = cache.plan(request("w", List.of()));
    Plan again = cache.plan(request("w", List.of()));
    assertThat(again).isEqualTo(Planner.plan(request("w", List.of())));
    assertThat(again.moves()).isSameAs(first.moves());
    assertThat(cache.plan(request("v", List.of())).moves()).isNotSameAs(first.moves());
    assertThat(cache.size()).isEqualTo(2);
  }

  @Test
  void aRequestThatDiffersInAxisNamesKeepsItsOwn() {
    PlanRequest named = request("w", List.of("x"));
    Plan first = cache.plan(request("w", List.of()));
    Plan other = cache.plan(named);
    assertThat(other.moves()).isSameAs(first.moves());
    assertThat(other.request()).isEqualTo(named).isNotEqualTo(first.request());
    assertThat(PlanJson.readPlan(PlanJson.write(other)).digest()).isEqualTo(first.digest());
  }

  @Test
  void whatWasUsedLongestAgoGoesFirst() {
    List<Plan> plans = new ArrayList<>();
    for (int i = 0; i <= PlanCache.PLANS_MAX; i++) {
      plans.add(cache.plan(request("w" + i, List.of())));
      cache.plan(request("w0", List.of()));
    }
    assertThat(cache.size()).isEqualTo(PlanCache.PLANS_MAX);
    assertThat(cache.plan(request("w0", List.of())).moves()).isSameAs(plans.get(0).moves());
    assertThat(cache.plan(request("w1", List.of())).moves()).isNotSameAs(plans.get(1).moves());
  }

  @Test
  void equalTensorsOfARequestArePlannedAsIfEachWereAlone() {
    Mesh src = Mesh.ofHosts(List.of(2, 2), List.of("a", "b"));
    Mesh dst = Mesh.ofHosts(List.of(2, 2), List.of("b", "c"));
    List<TensorReshard> layers =
        IntStream.range(0, 12)
            .mapToObj(
                i ->
                    new TensorReshard(
                        new TensorSpec("t" + i, List.of(12L + i % 3, 8L), DType.of("int8")),
                        Sharding.parse(src, i % 2 == 0 ? "S0 R" : "S01 R"),
                        Sharding.parse(dst, "R S1")))
            .toList();
    Plan plan = Planner.plan(new PlanRequest(layers, Strategy.AUTO, Order.OPTIMAL));
    for (int i = 0; i < layers.size(); i++) {
      int tensor = i;
      Plan alone =
          Planner.plan(new PlanRequest(layers.subList(i, i + 1), Strategy.AUTO, Order.OPTIMAL));
      assertThat(plan.chosen().get(i)).isEqualTo(alone.chosen().getFirst());
      assertThat(plan.tasks().stream().filter(task -> task.tensor() == tensor))
          .extracting(UnitTask::box, UnitTask::senders, UnitTask::receivers)
          .isEqualTo(
              alone.tasks().stream().map(t -> tuple(t.box(), t.senders(), t.receivers())).toList());
    }
  }
}
