package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.crossmesh.plan.Cases.Case;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The orders that others use plan soundly, always alike, and never beat order optimal by more than
 * chunks do.
 */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class BaselineOrdersTest {
  private static final int LAYOUTS = 20;

  private static Stream<Case> published() {
    return Stream.of(Cases.paperManyToMany(), Cases.paperOneToMany()).flatMap(List::stream);
  }

  @ParameterizedTest
  @EnumSource(names = {"NAIVE", "SIZE", "SEARCH", "GREEDY"})
  void plansAreSoundAndAlwaysAlike(Order order) {
    for (int seed = 0; seed < LAYOUTS; seed++) {
      PlanRequest request = RandomLayouts.request(seed, order);
      Plan plan = Planner.plan(request);
      double makespan = Replay.check(plan) / RandomLayouts.BANDWIDTH;
      assertThat(makespan).as("seed %d", seed).isCloseTo(plan.makespan(), within(1e-3 * makespan));
      assertThat(Planner.plan(request)).as("seed %d", seed).isEqualTo(plan);
    }
  }

  @ParameterizedTest
  @MethodSource("published")
  void orderOptimalIsAsGoodAsAnyOfThem(Case row) {
    double optimal = Planner.plan(row.request(Strategy.BROADCAST, Order.OPTIMAL)).makespan();
    for (Order order : Order.values()) {
      assertThat(Planner.plan(row.request(Strategy.BROADCAST, order)).makespan())
          .as("%s", order)
          .isGreaterThan(0.998 * optimal);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"1", "2", "3", "5", "9"})
  void searchFindsTheOrderThatNaiveMisses(String name) {
    Case row =
        Cases.paperManyToMany().stream()
            .filter(c -> c.get("case").equals(name))
            .findFirst()
            .orElseThrow();
    assertThat(Planner.plan(row.request(Strategy.BROADCAST, Order.SEARCH)).gap())
        .isBetween(0.0, 0.02);
    assertThat(Planner.plan(row.request(Strategy.BROADCAST, Order.GREEDY)).gap())
        .isBetween(0.0, 0.02);
  }
}
