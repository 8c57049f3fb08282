package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Limit;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Nic;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.mesh.Topology;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** Predicted times of cases that can be worked out by hand. One MiB takes one second. */
class TimelineTest {
  private static final double MIB = 1 << 20;

  private static Topology topology(double latency, String... hosts) {
    return Topology.uniform(List.of(hosts), MIB, latency, 1);
  }

  private static Mesh line(String... hosts) {
    return Mesh.ofHosts(List.of(hosts.length), List.of(hosts));
  }

  private static PlanRequest request(
      Topology topology, Strategy strategy, long mib, Mesh src, String from, Mesh dst, String to) {
    TensorReshard reshard =
        new TensorReshard(
            new TensorSpec("w", List.of(mib << 20), DType.of("int8")),
            Sharding.parse(src, from),
            Sharding.parse(dst, to));
    return new PlanRequest(List.of(reshard), topology, strategy, Order.SIZE);
  }

  /** The chosen plan, timed again with chunks of one MiB. */
  private static List<Move> withMibChunks(PlanRequest request) {
    List<Move> moves = new ArrayList<>();
    for (Move move : Planner.plan(request).moves()) {
      moves.add(
          new Move(
              move.tensor(),
              move.box(),
              move.bytes(),
              Math.min(move.bytes(), 1 << 20),
              0,
              0,
              move.sender(),
              move.receivers(),
              move.route()));
    }
    return Timeline.predict(moves, new Network(request.topology(), request.hosts()));
  }

  private static double makespan(List<Move> moves) {
    return moves.stream().mapToDouble(Move::end).max().orElse(0);
  }

  @Test
  void aChainFillsChunkByChunk() {
    List<Move> moves =
        withMibChunks(
            request(
                topology(0, "a", "b", "c", "d"),
                Strategy.BROADCAST,
                8,
                line("a"),
                "R",
                line("b", "c", "d"),
                "R"));
    assertThat(makespan(moves)).isCloseTo(8 + 2, within(1e-9));
  }

  @Test
  void chunksInFlightHideTheLatency() {
    List<Move> moves =
        withMibChunks(
            request(
                topology(0.25, "a", "b"), Strategy.BROADCAST, 8, line("a"), "R", line("b"), "R"));
    assertThat(makespan(moves)).isCloseTo(8 + 0.25, within(1e-9));
  }

  @Test
  void aWindowOfChunksPaysALatencyThatExceedsIt() {
    List<Move> moves =
        withMibChunks(
            request(topology(9, "a", "b"), Strategy.BROADCAST, 16, line("a"), "R", line("b"), "R"));
    // The ninth chunk waits until the first has landed, and so on.
    assertThat(makespan(moves)).isCloseTo(1 + 9 + 8 + 9, within(1e-9));
  }

  @Test
  void oneMoveFillsTheLatencyOfAnother() {
    List<Move> moves =
        withMibChunks(
            request(
                topology(0.25, "a", "b", "c"),
                Strategy.BROADCAST,
                8,
                line("a"),
                "R",
                line("b", "c"),
                "S0"));
    assertThat(makespan(moves)).isLessThan(8 + 0.5);
  }

  @Test
  void sendingTwiceThroughOneNicTakesTwice() {
    List<Move> moves =
        withMibChunks(
            request(
                topology(0, "a", "b", "c"),
                Strategy.SEND_RECV,
                4,
                line("a"),
                "R",
                line("b", "c"),
                "R"));
    assertThat(makespan(moves)).isCloseTo(8, within(1e-9));
  }

  @Test
  void bothDirectionsOfANicAreFreeAtOnce() {
    Mesh mesh = line("a", "b");
    List<Move> moves =
        withMibChunks(request(topology(0, "a", "b"), Strategy.BROADCAST, 8, mesh, "S0", mesh, "R"));
    assertThat(makespan(moves)).isCloseTo(4, within(1e-9));
  }

  @Test
  void aFastSenderServesTwoSlowReceiversAtOnce() {
    Topology topology =
        new Topology(
            new TreeMap<>(
                Map.of(
                    "a", List.of(new Nic(MIB, 0), new Nic(MIB, 0)),
                    "b", List.of(new Nic(MIB, 0)),
                    "c", List.of(new Nic(MIB, 0)))),
            List.of());
    List<Move> moves =
        withMibChunks(
            request(topology, Strategy.BROADCAST, 8, line("a"), "R", line("b", "c"), "S0"));
    assertThat(makespan(moves)).isLessThan(4 + 1);
  }

  @Test
  void aSharedUplinkIsOneMoreThingToWaitFor() {
    Topology free = topology(0, "a", "b", "c", "d");
    Topology limited = new Topology(free.hosts(), List.of(new Limit(List.of("a", "b"), MIB)));
    Mesh src = line("a", "b");
    Mesh dst = line("c", "d");
    assertThat(makespan(withMibChunks(request(free, Strategy.BROADCAST, 8, src, "S0", dst, "S0"))))
        .isCloseTo(4, within(1e-9));
    assertThat(
            makespan(withMibChunks(request(limited, Strategy.BROADCAST, 8, src, "S0", dst, "S0"))))
        .isCloseTo(8, within(1e-9));
  }

  @Test
  void copiesInsideAHostTakeNoTime() {
    Mesh mesh = line("a", "b");
    assertThat(
            withMibChunks(
                request(topology(1, "a", "b"), Strategy.BROADCAST, 8, mesh, "S0", mesh, "S0")))
        .allMatch(move -> move.start() == 0 && move.end() == 0);
  }

  @Test
  void tensorsOfAnySizeAreTimedInBoundedWork() {
    PlanRequest request =
        request(
            topology(0, "a", "b", "c", "d"),
            Strategy.BROADCAST,
            1L << 38,
            line("a"),
            "R",
            line("b", "c", "d"),
            "R");
    Plan plan = Planner.plan(request);
    assertThat(plan.lowerBound()).isEqualTo(Math.pow(2, 38));
    assertThat(plan.gap()).isBetween(0.0, 0.001);
  }
}
