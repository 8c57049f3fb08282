package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.mesh.Topology;
import io.crossmesh.plan.Cases.Case;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The published cases: task counts, bounds and bytes. */
class PaperCasesTest {
  private static final Map<String, Integer> UNIT_TASKS =
      Map.of("1", 2, "2", 2, "3", 4, "4", 64, "5", 4, "6", 4, "7", 4, "9", 4);

  private static List<Case> manyToMany() {
    return Cases.paperManyToMany();
  }

  private static List<Case> alpa() {
    return Cases.alpa();
  }

  private static List<Case> oneToMany() {
    return Cases.paperOneToMany();
  }

  @ParameterizedTest
  @MethodSource("manyToMany")
  void manyToManyHasThePublishedUnitTasksAndBound(Case row) {
    Plan plan = Planner.plan(row.request(Strategy.AUTO, Order.OPTIMAL));
    assertThat(plan.tasks()).hasSize(UNIT_TASKS.getOrDefault(row.get("case"), -1));
    double bound = Long.parseLong(row.get("lower_bound_bytes")) / Topology.DEFAULT_BANDWIDTH;
    assertThat(plan.lowerBound()).isEqualTo(bound);
    assertThat(plan.gap()).isBetween(0.0, 0.02);
    // Whole slices in turn: the third sender of case 6 waits for a receiver.
    assertThat(Planner.plan(row.request(Strategy.AUTO, Order.SIZE)).gap())
        .isBetween(0.0, row.get("case").equals("6") ? 0.34 : 0.05);
  }

  @ParameterizedTest
  @MethodSource("alpa")
  void alpaRowsCrossTheNicWithTheBytesNeededAndNoMore(Case row) {
    Plan plan = Planner.plan(row.request(Strategy.parse(row.get("strategy")), Order.SIZE));
    long received = plan.bytesReceived().values().stream().mapToLong(Long::longValue).sum();
    Plan chains = Planner.plan(row.request(Strategy.BROADCAST, Order.SIZE));
    assertThat(received)
        .isEqualTo(chains.bytesReceived().values().stream().mapToLong(Long::longValue).sum());
  }

  @ParameterizedTest
  @MethodSource("oneToMany")
  void oneToManyNeedsTheTensorOnceThroughTheSender(Case row) {
    Plan plan = Planner.plan(row.request(Strategy.AUTO, Order.SIZE));
    assertThat(plan.tasks()).hasSize(1);
    assertThat(plan.lowerBound()).isEqualTo((4L << 28) / Topology.DEFAULT_BANDWIDTH);
    assertThat(plan.bytesSent()).containsEntry("s0", 4L << 28);
    assertThat(plan.gap()).isBetween(0.0, 0.05);
  }
}
