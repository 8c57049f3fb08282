package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Limit;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.mesh.Topology;
import io.crossmesh.plan.Cases.Case;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The strategies that gather: their moves by hand, the bytes and times that the paper gives. */
@Timeout(value = 300, unit = TimeUnit.SECONDS)
class AllGatherTest {
  private static final int LAYOUTS = 6;
  private static final Mesh SRC = Mesh.ofHosts(List.of(2, 2), List.of("a", "b"));
  private static final Mesh DST = Mesh.ofHosts(List.of(3, 2), List.of("c", "d", "e"));

  private static Stream<Arguments> strategiesAndOrders() {
    return Stream.of(Strategy.values())
        .flatMap(strategy -> Stream.of(Order.values()).map(o -> Arguments.of(strategy, o)));
  }

  private static PlanRequest request(
      Strategy strategy, Order order, Mesh src, String from, Mesh dst, String to, Long... shape) {
    TensorReshard reshard =
        new TensorReshard(
            new TensorSpec("w", List.of(shape), DType.of("float32")),
            Sharding.parse(src, from),
            Sharding.parse(dst, to));
    return new PlanRequest(List.of(reshard), strategy, order);
  }

  private static List<String> routes(Plan plan) {
    return plan.moves().stream()
        .map(m -> m.box() + " " + m.sender() + " " + String.join(">", m.route()) + m.receivers())
        .toList();
  }

  @Test
  void eachHostGetsAPieceForEachOfItsDevicesAndAllOfThemGetIt() {
    PlanRequest request = request(Strategy.LOCAL_ALL_GATHER, Order.NAIVE, SRC, "S0", DST, "R", 4L);
    assertThat(routes(Planner.plan(request)))
        .containsExactly(
            "[0:1] 0 a>c[0, 1]",
            "[1:2] 0 a>c[0, 1]",
            "[0:1] 0 a>d[2, 3]",
            "[1:2] 0 a>d[2, 3]",
            "[0:1] 0 a>e[4, 5]",
            "[1:2] 0 a>e[4, 5]",
            "[2:3] 2 b>c[0, 1]",
            "[3:4] 2 b>c[0, 1]",
            "[2:3] 2 b>d[2, 3]",
            "[3:4] 2 b>d[2, 3]",
            "[2:3] 2 b>e[4, 5]",
            "[3:4] 2 b>e[4, 5]");
  }

  @Test
  void eachHostGetsAnotherPieceAndSendsItRoundTheRing() {
    PlanRequest request = request(Strategy.GLOBAL_ALL_GATHER, Order.NAIVE, SRC, "R", DST, "R", 3L);
    assertThat(routes(Planner.plan(request)))
        .containsExactly(
            "[0:1] 0 a>c[0, 1]",
            "[1:2] 0 a>d[2, 3]",
            "[2:3] 0 a>e[4, 5]",
            "[0:1] 0 c>d[2, 3]",
            "[1:2] 0 d>e[4, 5]",
            "[2:3] 0 e>c[0, 1]",
            "[0:1] 0 d>e[4, 5]",
            "[1:2] 0 e>c[0, 1]",
            "[2:3] 0 c>d[2, 3]");
  }

  @Test
  void aSliceTooSmallForAPieceForEachHostGoesRoundInFewer() {
    PlanRequest request = request(Strategy.GLOBAL_ALL_GATHER, Order.SIZE, SRC, "", DST, "");
    assertThat(routes(Planner.plan(request)))
        .containsExactly("[] 0 a>c[0, 1]", "[] 0 c>d[2, 3]", "[] 0 d>e[4, 5]");
  }

  @Test
  void whereOneHostLacksTheSliceItIsSentWhole() {
    Mesh dst = Mesh.ofHosts(List.of(2, 2), List.of("b", "c"));
    PlanRequest request = request(Strategy.GLOBAL_ALL_GATHER, Order.SIZE, SRC, "R", dst, "R", 9L);
    assertThat(routes(Planner.plan(request)))
        .containsExactly("[0:9] 2 b[0, 1]", "[0:9] 0 a>c[2, 3]");
  }

  @Test
  void aSenderThatReceivesOtherSlicesIsOnTheirRings() {
    Mesh dst = Mesh.ofHosts(List.of(3), List.of("a", "b", "c"));
    PlanRequest request = request(Strategy.GLOBAL_ALL_GATHER, Order.NAIVE, SRC, "S0", dst, "R", 4L);
    assertThat(routes(Planner.plan(request)))
        .containsExactly(
            "[0:2] 0 a[0]",
            "[0:1] 0 a>b[1]",
            "[1:2] 0 a>c[2]",
            "[0:1] 0 b>c[2]",
            "[1:2] 0 c>b[1]",
            "[2:4] 2 b[1]",
            "[2:3] 2 b>a[0]",
            "[3:4] 2 b>c[2]",
            "[2:3] 2 a>c[2]",
            "[3:4] 2 c>a[0]");
  }

  @Test
  void aRingVisitsTheHostsOfARackAfterEachOther() {
    Mesh src = Mesh.ofHosts(List.of(1), List.of("a0"));
    Mesh dst = Mesh.ofHosts(List.of(4), List.of("a1", "b1", "a2", "b2"));
    PlanRequest plain = request(Strategy.GLOBAL_ALL_GATHER, Order.NAIVE, src, "R", dst, "R", 4L);
    Topology racks =
        new Topology(
            plain.topology().hosts(),
            List.of(
                new Limit(List.of("a0", "a1", "a2"), 1e9), new Limit(List.of("b1", "b2"), 1e9)));
    PlanRequest request = new PlanRequest(plain.tensors(), racks, plain.strategy(), plain.order());
    assertThat(routes(Planner.plan(request)).subList(4, 8))
        .containsExactly(
            "[0:1] 0 a1>a2[2]", "[1:2] 0 a2>b1[1]", "[2:3] 0 b1>b2[3]", "[3:4] 0 b2>a1[0]");
  }

  @ParameterizedTest
  @EnumSource(Order.class)
  void oneToEightDevicesOnFourHostsCostsWhatThePaperSays(Order order) {
    Case row = Cases.paperOneToMany().getLast();
    long t = row.reshard().tensor().bytes();
    assertBytes(Planner.plan(row.request(Strategy.SEND_RECV, order)), 8 * t, 0, 2 * t);
    assertBytes(Planner.plan(row.request(Strategy.LOCAL_ALL_GATHER, order)), 4 * t, 0, t);
    assertBytes(Planner.plan(row.request(Strategy.GLOBAL_ALL_GATHER, order)), t, t / 4 * 3, t);
    Plan chain = Planner.plan(row.request(Strategy.BROADCAST, order));
    assertThat(chain.bytesSent()).containsEntry("s0", t);
    assertThat(chain.bytesReceived().values()).containsExactly(t, t, t, t, 0L);
  }

  private static void assertBytes(Plan plan, long source, long each, long received) {
    assertThat(plan.bytesSent().values()).containsExactly(each, each, each, each, source);
    assertThat(plan.bytesReceived().values())
        .containsExactly(received, received, received, received, 0L);
  }

  @ParameterizedTest
  @EnumSource(Order.class)
  void aRingTakesAsLongAsThePaperSays(Order order) {
    for (Case row : Cases.paperOneToMany().subList(4, 7)) {
      PlanRequest plain = row.request(Strategy.GLOBAL_ALL_GATHER, order);
      Topology topology = Topology.uniform(plain.hosts(), 1e9, 0, 1);
      Plan plan = Planner.plan(new PlanRequest(plain.tensors(), topology, plain.strategy(), order));
      int hosts = row.reshard().dst().mesh().hosts().size();
      // Scattered in t, then gathered in (A - 1) rounds of t / A.
      double rounds = (hosts - 1.0) / hosts;
      assertThat(plan.makespan() / plan.lowerBound()).isCloseTo(1 + rounds, within(1e-6));
    }
  }

  /** Whatever the layouts: the independent replay agrees, and asking again changes nothing. */
  @ParameterizedTest
  @MethodSource("strategiesAndOrders")
  void randomLayoutsAreReplayedAlike(Strategy strategy, Order order) {
    for (int seed = 0; seed < LAYOUTS; seed++) {
      PlanRequest request = RandomLayouts.request(5000 + seed, strategy, order);
      Plan plan = Planner.plan(request);
      double makespan = Replay.check(plan) / RandomLayouts.BANDWIDTH;
      assertThat(makespan).as("seed %d", seed).isCloseTo(plan.makespan(), within(1e-3 * makespan));
      if (strategy != Strategy.AUTO) {
        assertThat(plan.chosen().getFirst().strategy()).isEqualTo(strategy);
      }
      assertThat(total(plan)).as("seed %d", seed).isEqualTo(needed(request, strategy));
    }
  }

  private static long total(Plan plan) {
    return plan.bytesSent().values().stream().mapToLong(Long::longValue).sum();
  }

  /** Bytes over all NICs: a slice for each host that lacks it, or for each device there. */
  private static long needed(PlanRequest request, Strategy strategy) {
    Plan first = Planner.plan(new PlanRequest(request.tensors(), strategy, Order.NAIVE));
    TensorReshard reshard = request.tensors().getFirst();
    long bytes = 0;
    for (UnitTask task : first.tasks()) {
      List<String> hosts = new ArrayList<>();
      task.receivers().forEach(device -> hosts.add(reshard.dst().mesh().hostOf(device)));
      task.senders().forEach(device -> hosts.remove(reshard.src().mesh().hostOf(device)));
      boolean each = first.chosen().getFirst().strategy() == Strategy.SEND_RECV;
      long times = each ? hosts.size() : hosts.stream().distinct().count();
      bytes += times * task.box().volume() * reshard.tensor().dtype().bytes();
    }
    return bytes;
  }

  @ParameterizedTest
  @EnumSource(Order.class)
  void plansWithRingsAreReadBackFromJson(Order order) {
    Plan plan =
        Planner.plan(request(Strategy.GLOBAL_ALL_GATHER, order, SRC, "S0 R", DST, "R R", 64L, 9L));
    assertThat(PlanJson.readPlan(PlanJson.write(plan))).isEqualTo(plan);
  }
}
