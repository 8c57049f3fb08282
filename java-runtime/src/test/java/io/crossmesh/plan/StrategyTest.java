package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Device;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Nic;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.mesh.Topology;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which moves each strategy and order makes, on cases small enough to work out by hand. */
class StrategyTest {
  private static final Mesh SRC = Mesh.ofHosts(List.of(2, 2), List.of("a", "b"));
  private static final Mesh DST = Mesh.ofHosts(List.of(2, 2), List.of("c", "d"));

  private static Plan plan(
      Strategy strategy, Order order, Mesh src, String from, Mesh dst, String to, Long... shape) {
    TensorReshard reshard =
        new TensorReshard(
            new TensorSpec("w", List.of(shape), DType.of("float32")),
            Sharding.parse(src, from),
            Sharding.parse(dst, to));
    return Planner.plan(new PlanRequest(List.of(reshard), strategy, order));
  }

  private static List<String> routes(Plan plan) {
    return plan.moves().stream()
        .map(m -> m.box() + " " + m.sender() + " " + String.join(">", m.route()) + m.receivers())
        .toList();
  }

  @Test
  void sendRecvSendsToEachDeviceOnce() {
    assertThat(routes(plan(Strategy.SEND_RECV, Order.NAIVE, SRC, "S0", DST, "R", 4L)))
        .containsExactly(
            "[0:2] 0 a>c[0]",
            "[0:2] 0 a>c[1]",
            "[0:2] 0 a>d[2]",
            "[0:2] 0 a>d[3]",
            "[2:4] 2 b>c[0]",
            "[2:4] 2 b>c[1]",
            "[2:4] 2 b>d[2]",
            "[2:4] 2 b>d[3]");
  }

  @Test
  void broadcastIsOneChainThatServesWholeHosts() {
    assertThat(routes(plan(Strategy.BROADCAST, Order.NAIVE, SRC, "S0", DST, "R", 4L)))
        .containsExactly("[0:2] 0 a>c>d[0, 1, 2, 3]", "[2:4] 2 b>c>d[0, 1, 2, 3]");
  }

  @Test
  void splitBroadcastDividesASliceAmongItsHolders() {
    Plan plan = plan(Strategy.SPLIT_BROADCAST, Order.NAIVE, SRC, "R", DST, "R", 1L << 16);
    assertThat(routes(plan))
        .containsExactly("[0:32768] 0 a>c>d[0, 1, 2, 3]", "[32768:65536] 2 b>c>d[0, 1, 2, 3]");
    Plan small = plan(Strategy.SPLIT_BROADCAST, Order.SIZE, SRC, "R", DST, "R", 4L);
    assertThat(routes(small)).containsExactly("[0:4] 0 a>c>d[0, 1, 2, 3]");
    for (Order order : List.of(Order.NAIVE, Order.SIZE, Order.OPTIMAL)) {
      Plan even = plan(Strategy.SPLIT_BROADCAST, order, SRC, "R", DST, "R", 1L << 22);
      assertThat(even.bytesSent().get("a")).as("%s", order).isEqualTo(even.bytesSent().get("b"));
    }
  }

  @Test
  void orderSizeRotatesChainsOverTheSameHosts() {
    assertThat(routes(plan(Strategy.BROADCAST, Order.SIZE, SRC, "S0", DST, "R", 4L)))
        .containsExactly("[0:2] 0 a>c>d[0, 1, 2, 3]", "[2:4] 2 b>d>c[0, 1, 2, 3]");
  }

  @Test
  void orderNaiveTakesTheFirstReplicaAndOrderSizeTheLeastLoaded() {
    assertThat(routes(plan(Strategy.BROADCAST, Order.NAIVE, SRC, "R", DST, "S0", 4L)))
        .containsExactly("[0:2] 0 a>c[0, 1]", "[2:4] 0 a>d[2, 3]");
    assertThat(routes(plan(Strategy.BROADCAST, Order.SIZE, SRC, "R", DST, "S0", 4L)))
        .containsExactly("[0:2] 0 a>c[0, 1]", "[2:4] 2 b>d[2, 3]");
  }

  @Test
  void orderSizeStartsTheLargestSliceFirst() {
    assertThat(routes(plan(Strategy.BROADCAST, Order.SIZE, SRC, "S0", DST, "S01", 5L)))
        .startsWith("[0:2] 0 a>c[0]");
    assertThat(plan(Strategy.BROADCAST, Order.SIZE, SRC, "S0", DST, "S01", 5L).moves())
        .isSortedAccordingTo((x, y) -> Long.compare(y.bytes(), x.bytes()));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"send_recv", "local_all_gather", "global_all_gather", "broadcast", "auto"})
  void whatAHostHoldsIsCopiedThereWithoutANic(String strategy) {
    Mesh dst = Mesh.ofHosts(List.of(2, 2), List.of("b", "c"));
    Plan plan = plan(Strategy.parse(strategy), Order.SIZE, SRC, "R", dst, "R", 4L);
    assertThat(plan.moves()).filteredOn(Move::local).allMatch(m -> m.sender() == 2);
    assertThat(plan.moves()).filteredOn(Move::local).allMatch(m -> m.end() == 0);
    assertThat(plan.bytesReceived()).containsEntry("b", 0L);
    assertThat(plan.bytesReceived().get("c")).isPositive();
  }

  @Test
  void theSameMeshAndLayoutCrossesNoNic() {
    Plan plan = plan(Strategy.AUTO, Order.SIZE, SRC, "S0 S1", SRC, "S0 S1", 4L, 4L);
    assertThat(plan.moves()).hasSize(4).allMatch(Move::local);
    assertThat(plan.lowerBound()).isZero();
    assertThat(plan.gap()).isZero();
  }

  @Test
  void theSenderIsTheFirstHolderOfItsHostInAnyPlacement() {
    Mesh mixed =
        new Mesh(
            List.of(4),
            List.of(),
            List.of(
                new Device("b", 3), new Device("a", 1), new Device("a", 0), new Device("b", 0)));
    assertThat(routes(plan(Strategy.BROADCAST, Order.SIZE, mixed, "R", DST, "S0", 4L)))
        .containsExactly("[0:2] 0 b>c[0, 1]", "[2:4] 1 a>d[2, 3]");
  }

  @Test
  void emptyTensorsAndTilesHaveNoMoves() {
    assertThat(plan(Strategy.AUTO, Order.SIZE, SRC, "S0", DST, "R", 0L).moves()).isEmpty();
    Plan plan = plan(Strategy.AUTO, Order.SIZE, SRC, "R", DST, "S01", 2L);
    assertThat(plan.moves()).extracting(Move::receivers).containsExactly(List.of(0), List.of(1));
  }

  @Test
  void aScalarIsOneUnitTask() {
    assertThat(routes(plan(Strategy.BROADCAST, Order.NAIVE, SRC, "", DST, "")))
        .containsExactly("[] 0 a>c>d[0, 1, 2, 3]");
  }

  @Test
  void autoPrefersAChainWhereItIsCheaper() {
    Plan large = plan(Strategy.AUTO, Order.SIZE, SRC, "S0", DST, "R", 1L << 22);
    assertThat(large.chosen().getFirst().strategy()).isEqualTo(Strategy.BROADCAST);
  }

  @Test
  void autoSendsDirectlyWhereRelaysAreSlow() {
    Topology topology =
        new Topology(
            new TreeMap<>(
                Map.of(
                    "a", List.of(new Nic(1e12, 1e-6)),
                    "c", List.of(new Nic(1e7, 1e-6)),
                    "d", List.of(new Nic(1e7, 1e-6)))),
            List.of());
    Mesh src = Mesh.ofHosts(List.of(1), List.of("a"));
    Mesh dst = Mesh.ofHosts(List.of(2), List.of("c", "d"));
    TensorReshard reshard =
        new TensorReshard(
            new TensorSpec("w", List.of(1L << 20), DType.of("float32")),
            Sharding.parse(src, "R"),
            Sharding.parse(dst, "R"));
    Plan plan =
        Planner.plan(new PlanRequest(List.of(reshard), topology, Strategy.AUTO, Order.SIZE));
    assertThat(plan.chosen().getFirst().strategy()).isEqualTo(Strategy.SEND_RECV);
  }

  @Test
  void theFasterOfTwoHoldersSendsMore() {
    Topology topology =
        new Topology(
            new TreeMap<>(
                Map.of(
                    "a", List.of(new Nic(1e9, 0)),
                    "b", List.of(new Nic(1e9, 0), new Nic(1e9, 0), new Nic(1e9, 0)),
                    "c", List.of(new Nic(1e12, 0)),
                    "d", List.of(new Nic(1e12, 0)))),
            List.of());
    TensorReshard reshard =
        new TensorReshard(
            new TensorSpec("w", List.of(1L << 20, 4L), DType.of("float32")),
            Sharding.parse(SRC, "R R"),
            Sharding.parse(DST, "R S01"));
    Plan plan =
        Planner.plan(new PlanRequest(List.of(reshard), topology, Strategy.AUTO, Order.SIZE));
    assertThat(plan.bytesSent()).containsEntry("a", 4L << 20).containsEntry("b", 12L << 20);
    assertThat(plan.gap()).isBetween(0.0, 1e-6);
  }

  @Test
  void chunksGrowWithTheLatencyTheyHaveToHide() {
    assertThat(chunk(1e-7)).isLessThan(chunk(1e-5)).isGreaterThanOrEqualTo(64 << 10);
    assertThat(chunk(1e-5)).isLessThan(chunk(1e-3)).isLessThanOrEqualTo(4 << 20);
  }

  private static long chunk(double latency) {
    TensorReshard reshard =
        new TensorReshard(
            new TensorSpec("w", List.of(1L << 22), DType.of("float32")),
            Sharding.parse(SRC, "S0"),
            Sharding.parse(DST, "R"));
    Topology topology = Topology.uniform(List.of("a", "b", "c", "d"), 1.25e9, latency, 1);
    return Planner.plan(new PlanRequest(List.of(reshard), topology, Strategy.BROADCAST, Order.SIZE))
        .chosen()
        .getFirst()
        .chunkBytes();
  }

  @ParameterizedTest
  @ValueSource(strings = {"all_gather", "Broadcast", "", "best"})
  void otherNamesAreRefusedWithWhatIsAvailable(String name) {
    assertThatThrownBy(() -> Strategy.parse(name))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.LAYOUT))
        .hasMessageContaining("'" + name + "'")
        .hasMessageContaining(
            "auto, send_recv, local_all_gather, global_all_gather, broadcast, split_broadcast");
    assertThatThrownBy(() -> Order.parse(name))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("naive, size, search, greedy, optimal");
  }
}
