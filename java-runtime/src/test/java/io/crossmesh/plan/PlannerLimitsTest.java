package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.mesh.Topology;
import io.crossmesh.plan.Cases.Case;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** How large and how fast planning is, and that what is too large is refused with a reason. */
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class PlannerLimitsTest {
  private static final double WARM_PLAN_MS = 50;
  private static final int ROUNDS = 20;
  private static final double GAP_MAX = 0.015;

  private static Stream<Case> published() {
    return Stream.of(Cases.paperManyToMany(), Cases.paperOneToMany()).flatMap(List::stream);
  }

  private static Mesh mesh(String prefix, int hosts, int perHost) {
    return Mesh.ofHosts(
        List.of(hosts, perHost), IntStream.range(0, hosts).mapToObj(i -> prefix + i).toList());
  }

  private static PlanRequest request(
      Strategy strategy, Mesh src, String from, Mesh dst, String to, Long... shape) {
    TensorReshard reshard =
        new TensorReshard(
            new TensorSpec("w", List.of(shape), DType.of("float32")),
            Sharding.parse(src, from),
            Sharding.parse(dst, to));
    return new PlanRequest(List.of(reshard), strategy, Order.SIZE);
  }

  /** Milliseconds of the fastest of some rounds: what the code takes when nothing disturbs it. */
  private static double fastest(PlanRequest request) {
    double best = Double.POSITIVE_INFINITY;
    for (int i = 0; i < ROUNDS; i++) {
      long start = System.nanoTime();
      Planner.plan(request);
      best = Math.min(best, (System.nanoTime() - start) / 1e6);
    }
    return best;
  }

  @ParameterizedTest
  @MethodSource("published")
  void publishedCasesArePlannedWellWithinTheirTime(Case row) {
    assertThat(fastest(row.request(Strategy.AUTO, Order.OPTIMAL))).isLessThan(WARM_PLAN_MS);
  }

  /** {@code R S01 -> S01 R}: every device has something for every other. */
  private static PlanRequest allToAll(int hosts, int devices) {
    return optimal(
        request(
            Strategy.AUTO,
            mesh("s", hosts, devices),
            "R S01",
            mesh("d", hosts, devices),
            "S01 R",
            16384L,
            16384L));
  }

  private static PlanRequest optimal(PlanRequest request) {
    return new PlanRequest(
        request.tensors(), request.topology(), request.strategy(), Order.OPTIMAL);
  }

  @Test
  void eightByEightHostsWithAThousandUnitTasksAreFast() {
    PlanRequest request = allToAll(8, 4);
    Plan plan = Planner.plan(request);
    assertThat(plan.tasks()).hasSize(1024);
    assertThat(plan.gap()).isBetween(0.0, GAP_MAX);
    assertThat(fastest(request)).isLessThan(4 * WARM_PLAN_MS);
  }

  @Test
  void moreSlicesThanAreOrderedOneByOneEndNearTheBoundToo() {
    Plan plan = Planner.plan(allToAll(64, 8));
    assertThat(plan.tasks().size()).isEqualTo(512 * 512);
    assertThat(plan.moves().size()).isEqualTo(512 * 512);
    assertThat(plan.gap()).isBetween(0.0, GAP_MAX);
  }

  @Test
  void bundledChainsEndNearTheBoundAndAreReplayed() {
    PlanRequest request =
        request(
            Strategy.BROADCAST,
            mesh("s", 4, 64),
            "S01 R R",
            mesh("d", 2, 80),
            "R S1 R",
            1024L,
            4000L,
            64L);
    PlanRequest withoutLatency =
        new PlanRequest(
            request.tensors(),
            Topology.uniform(PlanRequest.hosts(request.tensors()), 1e9, 0, 1),
            request.strategy(),
            Order.OPTIMAL);
    Plan plan = Planner.plan(withoutLatency);
    assertThat(plan.moves().size()).isEqualTo(256 * 80);
    assertThat(plan.moves().getFirst().route()).hasSize(3);
    assertThat(Replay.check(plan) / 1e9).isCloseTo(plan.makespan(), within(1e-9 * plan.makespan()));
    assertThat(plan.gap()).isBetween(0.0, GAP_MAX);
  }

  @Test
  void largeMeshesArePlanned() {
    Plan plan =
        Planner.plan(
            request(
                Strategy.BROADCAST,
                mesh("s", 256, 8),
                "S01 R",
                mesh("d", 256, 8),
                "S0 S1",
                8192L,
                64L));
    assertThat(plan.tasks()).hasSize(2048 * 8);
    assertThat(plan.moves()).hasSize(2048 * 8);
  }

  @Test
  void tooManyUnitTasksAreRefusedWithTheTensorAndBothLayouts() {
    Mesh src = mesh("s", 8, 256);
    Mesh dst = mesh("d", 8, 256);
    assertThatThrownBy(
            () -> Planner.plan(request(Strategy.AUTO, src, "S01 R", dst, "R S01", 4096L, 4096L)))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.LAYOUT))
        .hasMessageContainingAll("'w'", "[4096, 4096]", "'S01 R'", "'R S01'", "unit tasks");
  }

  @Test
  void oneTreeOfAModelOfManyExpertsIsWithinTheLimit() {
    // As large as 61 layers of 256 experts between 256 devices on each side.
    assertThat(Plan.MAX_TASKS).isGreaterThan(3 * 58 * (32 * 16 * 8) + 58 * 7168);
  }

  @Test
  void amongManyTensorsTheOneWithMostUnitTasksIsNamed() {
    Mesh src = mesh("s", 8, 256);
    Mesh dst = mesh("d", 8, 256);
    List<TensorReshard> tensors = new ArrayList<>();
    for (String key : List.of("small", "large", "small too")) {
      boolean large = key.equals("large");
      tensors.add(
          new TensorReshard(
              new TensorSpec(key, List.of(4096L, 4096L), DType.of("float32")),
              Sharding.parse(src, large ? "S01 R" : "S0 R"),
              Sharding.parse(dst, "R S01")));
    }
    assertThatThrownBy(() -> Planner.plan(new PlanRequest(tensors, Strategy.AUTO, Order.SIZE)))
        .hasMessageContaining("'large'")
        .hasMessageNotContaining("'small'");
  }

  @Test
  void tooManyMovesAreRefusedWithWhatHelps() {
    Mesh src = mesh("s", 1, 1024);
    Mesh dst = mesh("d", 2, 1056);
    assertThatThrownBy(
            () -> Planner.plan(request(Strategy.SEND_RECV, src, "S1 R", dst, "R R", 1024L, 4L)))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("use strategy broadcast");
    Plan plan = Planner.plan(request(Strategy.AUTO, src, "S1 R", dst, "R R", 1024L, 4L));
    assertThat(plan.chosen().getFirst().strategy()).isEqualTo(Strategy.BROADCAST);
  }

  @Test
  void bytesThatCannotBeCountedAreRefused() {
    Mesh src = mesh("s", 1, 1);
    assertThatThrownBy(() -> request(Strategy.AUTO, src, "R", mesh("d", 2, 2), "R", 1L << 59))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("plan fewer tensors");
  }

  @Test
  void layoutsOfAnotherRankAreRefusedNamingAll() {
    Mesh src = mesh("s", 2, 2);
    assertThatThrownBy(() -> request(Strategy.AUTO, src, "S0", mesh("d", 2, 2), "R S1", 4L, 4L))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContainingAll("'w'", "[4, 4]", "'S0'", "'R S1'", "hosts d0, d1");
  }

  @Test
  void hostsWithoutNicsAndRepeatedKeysAreRefused() {
    PlanRequest good = request(Strategy.AUTO, mesh("s", 2, 1), "R", mesh("d", 2, 1), "R", 4L);
    assertThatThrownBy(
            () ->
                new PlanRequest(
                    good.tensors(),
                    Topology.uniform(List.of("s0", "s1", "d0")),
                    Strategy.AUTO,
                    Order.SIZE))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContainingAll("'d1'", "'w'");
    TensorReshard tensor = good.tensors().getFirst();
    assertThatThrownBy(() -> new PlanRequest(List.of(tensor, tensor), Strategy.AUTO, Order.SIZE))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("the key 'w'");
  }
}
