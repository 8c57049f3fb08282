package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.mesh.Topology;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is needed first arrives first, and the plan as a whole ends no later for it. */
@Timeout(value = 120, unit = TimeUnit.SECONDS)
class DeadlinesTest {
  private static final double BANDWIDTH = 1e9;
  private static final double EQUAL = 1 + Outcome.EQUAL;
  private static final int RANDOM_PLANS = 60;

  private static TensorReshard tensor(String key, int mib, Sharding src, Sharding dst) {
    TensorSpec spec = new TensorSpec(key, List.of((long) mib << 10, 256L), DType.of("float32"));
    return new TensorReshard(spec, src, dst);
  }

  private static Sharding layout(String spec, String... hosts) {
    return Sharding.parse(Mesh.ofHosts(List.of(hosts.length), List.of(hosts)), spec);
  }

  private static Plan plan(List<TensorReshard> tensors) {
    Topology topology = Topology.uniform(PlanRequest.hosts(tensors), BANDWIDTH, 0, 1);
    return Planner.plan(new PlanRequest(tensors, topology, Strategy.AUTO, Order.OPTIMAL));
  }

  private static double bound(TensorReshard... alone) {
    return plan(List.of(alone)).lowerBound();
  }

  private static double finish(Plan plan, int tensor) {
    return plan.finish().get(tensor);
  }

  @Test
  void theBoundaryNeededFirstEndsAtItsOwnBoundAndAllAtTheJointOne() {
    Sharding src = layout("S0 R", "a", "b");
    Sharding dst = layout("R S0", "c", "d", "e");
    TensorReshard late = tensor("late", 192, src, dst);
    TensorReshard early = tensor("early", 64, src, dst).by(0);
    Plan plan = plan(List.of(late, early));
    assertThat(finish(plan, 1)).isBetween(bound(early) * (1 - 1e-9), bound(early) * 1.01);
    assertThat(plan.makespan()).isLessThan(1.005 * plan.lowerBound());
    assertThat(finish(plan, 0)).isEqualTo(plan.makespan());
    assertThat(finish(plan(List.of(late, tensor("early", 64, src, dst))), 1))
        .as("without a deadline")
        .isGreaterThan(2 * bound(early));
  }

  @Test
  void whatIsNeededFirstLeavesFromAllItsHolders() {
    Sharding src = layout("R R", "a", "b");
    TensorReshard first = tensor("first", 64, src, layout("S0 R", "c", "d")).by(0.01);
    TensorReshard second = tensor("second", 64, src, layout("S0 R", "c", "d"));
    Plan plan = plan(List.of(second, first));
    assertThat(finish(plan, 1)).isLessThan(1.01 * bound(first));
    assertThat(plan.makespan()).isLessThan(1.005 * plan.lowerBound());
  }

  /**
   * What only a holds must leave it from the beginning if all is to end at the bound, so the tensor
   * that both hold leaves b alone, however early it is needed.
   */
  @Test
  void theEndOfAllCountsMoreThanADeadline() {
    TensorReshard first = tensor("first", 64, layout("R R", "a", "b"), layout("R R", "c")).by(0);
    TensorReshard second = tensor("second", 64, layout("R R", "a"), layout("R R", "d"));
    Plan plan = plan(List.of(first, second));
    assertThat(plan.makespan()).isLessThan(1.005 * plan.lowerBound());
    assertThat(plan.bytesSent()).containsEntry("a", 64L << 20).containsEntry("b", 64L << 20);
  }

  @Test
  void threeStagesArriveInTheOrderOfTheirDeadlines() {
    Sharding src = layout("S0 R", "a", "b", "c");
    Sharding dst = layout("R R", "d", "e");
    List<TensorReshard> tensors = new ArrayList<>();
    for (int i = 0; i < 3; i++) {
      tensors.add(tensor("t" + i, 48, src, dst).by(0.3 - 0.1 * i));
    }
    Plan plan = plan(tensors);
    double each = bound(tensors.getFirst());
    for (int i = 0; i < 3; i++) {
      assertThat(finish(plan, i)).isBetween((3 - i) * each * (1 - 1e-9), (3 - i) * each * 1.02);
    }
    assertThat(plan.makespan()).isLessThan(1.005 * plan.lowerBound());
  }

  @Test
  void equalDeadlinesChangeNothingButTheDigest() {
    List<TensorReshard> plain = random(new Random(5));
    Plan without = plan(plain);
    Plan with = plan(plain.stream().map(tensor -> tensor.by(0.1)).toList());
    assertThat(with.moves()).isEqualTo(without.moves());
    assertThat(with.digest()).isNotEqualTo(without.digest());
  }

  @Test
  void deadlinesMakeNothingLater() {
    double arrival = 0;
    for (int seed = 0; seed < RANDOM_PLANS; seed++) {
      Random random = new Random(seed);
      List<TensorReshard> plain = random(random);
      Plan without = plan(plain);
      List<TensorReshard> tensors = new ArrayList<>();
      for (TensorReshard tensor : plain) {
        boolean any = random.nextInt(4) != 0;
        tensors.add(any ? tensor.by(without.makespan() * random.nextInt(8) / 8) : tensor);
      }
      Plan plan = plan(tensors);
      assertThat(plan.makespan())
          .as("seed %d", seed)
          .isLessThanOrEqualTo(without.makespan() * EQUAL);
      assertThat(plan.lateness())
          .as("seed %d", seed)
          .isLessThanOrEqualTo(Finish.lateness(tensors, without.finish()));
      assertThat(plan(tensors)).as("seed %d", seed).isEqualTo(plan);
      int urgent = 0;
      for (int t = 1; t < tensors.size(); t++) {
        urgent = tensors.get(t).due() < tensors.get(urgent).due() ? t : urgent;
      }
      arrival += finish(plan, urgent) / Math.max(1e-12, finish(without, urgent));
    }
    assertThat(arrival / RANDOM_PLANS).as("mean arrival of the most urgent").isLessThan(0.8);
  }

  @Test
  void whatADeviceOfBothMeshesHoldsIsNotSent() {
    Sharding src = layout("S0 R", "a", "b");
    Sharding dst = layout("S0 R", "a", "c");
    TensorReshard half = tensor("half", 64, src, dst).by(0);
    TensorReshard same = tensor("same", 64, src, src).by(0);
    TensorReshard more = tensor("more", 64, layout("R R", "a"), layout("R R", "a", "b"));
    Plan plan = plan(List.of(half, same, more));
    assertThat(plan.bytesReceived())
        .containsEntry("a", 0L)
        .containsEntry("b", 64L << 20)
        .containsEntry("c", 32L << 20);
    assertThat(plan.bytesSent()).containsEntry("a", 64L << 20).containsEntry("b", 32L << 20);
    assertThat(finish(plan, 1)).isZero();
    assertThat(plan.moves().stream().filter(move -> move.tensor() == 1))
        .isNotEmpty()
        .allMatch(Move::local);
  }

  @ParameterizedTest
  @ValueSource(doubles = {-1, Double.NaN, Double.POSITIVE_INFINITY})
  void whatIsNoDeadlineIsRefused(double seconds) {
    TensorReshard tensor = tensor("w", 1, layout("R R", "a"), layout("R R", "b"));
    assertThatThrownBy(() -> tensor.by(seconds))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("deadline")
        .hasMessageContaining("'w'");
  }

  /** Two to four tensors between layouts of the same hosts, or of meshes that overlap. */
  private static List<TensorReshard> random(Random random) {
    List<String> specs = List.of("S0 R", "R S0", "R R");
    String[][] sides = {{"a", "b", "c"}, {"d", "e"}, {"c", "d", "e", "f"}};
    List<TensorReshard> tensors = new ArrayList<>();
    for (int i = 2 + random.nextInt(3); i > 0; i--) {
      int from = random.nextInt(3);
      int to = (from + 1 + random.nextInt(2)) % 3;
      Sharding src = layout(specs.get(random.nextInt(3)), sides[from]);
      Sharding dst = layout(specs.get(random.nextInt(3)), sides[to]);
      tensors.add(tensor("t" + i, 16 << random.nextInt(3), src, dst));
    }
    return tensors;
  }
}
