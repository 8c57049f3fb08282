package io.crossmesh.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class SimulatorTest {
  private static final double EXACT = 1e-9;
  private static final Network EXCHANGE = new Network(false, true, false, List.of());

  /** GPipe and 1F1B: the fraction (n - 1) / (m + n - 1) of a balanced step is bubble. */
  @Test
  void bubblesOfBalancedPipelines() {
    for (int n = 1; n <= 9; n++) {
      for (int m : new int[] {1, 2, 3, 5, 8, 20, 64}) {
        PipelineShape shape = Times.shape(n, m);
        for (Family family : List.of(Family.GPIPE, Family.ONE_F_ONE_B, Family.EAGER_1F1B)) {
          Simulation result =
              Simulator.simulate(
                  FixedSchedules.of(family, shape),
                  Times.even(shape, 1, 2, 0),
                  Network.OVERLAPPED,
                  MemoryUse.counting(shape));
          assertThat(result.makespan()).as("%s %s", family, shape).isEqualTo(3 * (m + n - 1));
          for (int i = 0; i < n; i++) {
            assertThat(result.bubbles().get(i)).isEqualTo(3 * (n - 1));
            assertThat(result.exposed().get(i)).isZero();
            assertThat(result.work().get(i)).isEqualTo(3 * m);
          }
        }
      }
    }
  }

  /** Narayanan et al.: v parts a stage divide the bubble by v. */
  @Test
  void bubblesOfInterleavedPipelines() {
    for (int n = 2; n <= 6; n++) {
      for (int v = 2; v <= 4; v++) {
        for (int m = n; m <= 6 * n; m += n) {
          PipelineShape shape = new PipelineShape(n, m, v, false);
          Schedule schedule = FixedSchedules.of(Family.INTERLEAVED_1F1B, shape);
          assertThat(Times.makespan(schedule, Times.even(shape, v, 2 * v, 0), Network.OVERLAPPED))
              .as("%s", shape)
              .isEqualTo(3 * m * v + 3 * (n - 1));
        }
      }
    }
  }

  /** Qi et al., table 1: the bubble of ZB-H1 is (n - 1)(F + B - W). */
  @Test
  void bubblesOfZeroBubblePipelines() {
    for (int n = 1; n <= 8; n++) {
      for (int m = 2 * n; m <= 4 * n; m++) {
        PipelineShape shape = Times.shape(n, m);
        Schedule schedule = FixedSchedules.of(Family.ZB_H1, shape);
        assertThat(Times.makespan(schedule, Times.apart(shape, 1, 1, 1, 0), Network.OVERLAPPED))
            .as("%s", shape)
            .isEqualTo(3 * m + (n - 1));
      }
    }
  }

  /**
   * Two balanced stages that compute T a micro-batch and transfer c one way, full duplex: T + 2c
   * blocking one transfer at a time, T + c blocking with exchange and for overlapped 1F1B, T for
   * overlapped eager-1F1B while c is at most T / 2.
   */
  @ParameterizedTest
  @CsvSource({"1,1,0.25", "1,2,0.3", "1,2,0.9", "2,4,3", "10,20,8", "1,1,1", "1,3,1.95"})
  void stepTimesOfTwoStagesInTheSteadyState(double f, double b, double c) {
    double t = f + b;
    assertThat(perMicrobatch(Family.ONE_F_ONE_B, f, b, c, Network.BLOCKING))
        .isCloseTo(t + 2 * c, within(EXACT));
    assertThat(perMicrobatch(Family.ONE_F_ONE_B, f, b, c, EXCHANGE))
        .isCloseTo(t + c, within(EXACT));
    assertThat(perMicrobatch(Family.ONE_F_ONE_B, f, b, c, Network.OVERLAPPED))
        .isCloseTo(t + c, within(EXACT));
    assertThat(perMicrobatch(Family.EAGER_1F1B, f, b, c, Network.OVERLAPPED))
        .isCloseTo(Math.max(t, t / 2 + c), within(EXACT));
  }

  private static double perMicrobatch(
      Family family, double f, double b, double c, Network network) {
    PipelineShape few = Times.shape(2, 40);
    PipelineShape many = Times.shape(2, 100);
    return (Times.makespan(FixedSchedules.of(family, many), Times.even(many, f, b, c), network)
            - Times.makespan(FixedSchedules.of(family, few), Times.even(few, f, b, c), network))
        / 60;
  }

  @Test
  void whatIsNotWorkAndNotExposedIsBubble() {
    PipelineShape shape = Times.shape(2, 1);
    Simulation result =
        Simulator.simulate(
            FixedSchedules.of(Family.GPIPE, shape),
            Times.even(shape, 1, 2, 4),
            Network.OVERLAPPED,
            MemoryUse.of(shape, Series.of(List.of(5.0, 7.0)), Series.of(0)));
    assertThat(result.makespan()).isEqualTo(1 + 4 + 1 + 2 + 4 + 2);
    assertThat(result.work()).containsExactly(3.0, 3.0);
    assertThat(result.exposed()).containsExactly(4.0, 4.0);
    assertThat(result.bubbles()).containsExactly(7.0, 7.0);
    assertThat(result.peakMemory()).containsExactly(5.0, 7.0);
    assertThat(result.timeline().transfers())
        .containsExactly(
            new Timeline.Transfer(0, 1, Op.parse("F0.0"), 1, 1, 5),
            new Timeline.Transfer(1, 0, Op.parse("B0.1"), 8, 8, 12));
    assertThat(result.timeline().spans()).contains(new Timeline.Span(0, Op.parse("B0.0"), 12, 14));
  }

  @Test
  void halfDuplexLinksTakeTurns() {
    Network half = new Network(true, false, true, List.of());
    PipelineShape shape = Times.shape(2, 60);
    Schedule eager = FixedSchedules.of(Family.EAGER_1F1B, shape);
    Timing slow = Times.even(shape, 1, 1, 1.5);
    double full = Times.makespan(eager, slow, Network.OVERLAPPED);
    assertThat(Times.makespan(eager, slow, half)).isGreaterThan(full);
    assertThat(Times.makespan(eager, slow, half)).isGreaterThanOrEqualTo(60 * 3.0);
  }

  @Test
  void boundariesOfOneHostShareItsNic() {
    PipelineShape shape = new PipelineShape(3, 50, 1, true);
    Schedule forwards = FixedSchedules.of(Family.GPIPE, shape);
    Timing timing = Times.even(shape, 1, 0, 2);
    assertThat(Times.makespan(forwards, timing, network("a", "b", "c")))
        .isEqualTo(Times.makespan(forwards, timing, Network.OVERLAPPED));
    assertThat(Times.makespan(forwards, timing, network("a", "b", "b"))).isEqualTo(105);
    // Both boundaries leave and enter the NIC of one host: two transfers in turn, each way.
    Network there = network("a", "b", "a");
    assertThat(Times.makespan(forwards, timing, there))
        .isEqualTo(Times.makespan(forwards, timing, Network.OVERLAPPED));
    PipelineShape four = new PipelineShape(4, 50, 1, true);
    Schedule longer = FixedSchedules.of(Family.GPIPE, four);
    assertThat(Times.makespan(longer, Times.even(four, 1, 0, 2), network("a", "b", "a", "b")))
        .isGreaterThanOrEqualTo(2 * 50 * 2);
  }

  private static Network network(String... hosts) {
    return new Network(true, false, false, List.of(hosts));
  }

  static Stream<Long> seeds() {
    return LongStream.range(0, 60).boxed();
  }

  /** Each run obeys the rules of the network, whatever the options. */
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void runsObeyTheRules(long seed) {
    Random random = new Random(seed);
    int n = 1 + random.nextInt(6);
    int m = 1 + random.nextInt(12);
    PipelineShape shape = Times.shape(n, m);
    boolean overlap = random.nextBoolean();
    Timing stated = Times.random(shape, true, random);
    Timing timing = overlap ? Times.skipping(stated, random) : stated;
    List<String> hosts = new ArrayList<>();
    for (int i = 0; i < n && seed % 3 == 0; i++) {
      hosts.add("h" + random.nextInt(3));
    }
    Network network =
        new Network(overlap, !overlap && random.nextBoolean(), random.nextBoolean(), hosts);
    for (Family family :
        List.of(Family.GPIPE, Family.ONE_F_ONE_B, Family.EAGER_1F1B, Family.ZB_H1)) {
      Schedule schedule = FixedSchedules.of(family, shape);
      Simulation result = Simulator.simulate(schedule, timing, network, MemoryUse.counting(shape));
      Rules.check(schedule, network, result);
      int ways = n - 1 + timing.skips().size();
      assertThat(result.timeline().transfers()).hasSize(2 * m * ways);
    }
  }

  /** A decoder stage waits for what an encoder stage sends past the one between them. */
  @Test
  void whatSkipsAStageIsWaitedFor() {
    PipelineShape shape = Times.shape(3, 1);
    Timing chain = Times.even(shape, 1, 2, 0.5);
    Schedule schedule = FixedSchedules.of(Family.ONE_F_ONE_B, shape);
    assertThat(Times.makespan(schedule, chain, Network.OVERLAPPED)).isEqualTo(3 * 3 + 4 * 0.5);
    // F0 ends at 1 and B2 takes 2: what skips stage 1 has two seconds each way to be hidden in.
    Timing hidden = chain.withSkips(List.of(new SkipSeconds(0, 2, 2, 3)));
    assertThat(Times.makespan(schedule, hidden, Network.OVERLAPPED)).isEqualTo(3 * 3 + 4 * 0.5);
    Timing late = chain.withSkips(List.of(new SkipSeconds(0, 2, 5, 7)));
    assertThat(Times.makespan(schedule, late, Network.OVERLAPPED)).isEqualTo(3 + 3 + 5 + 7 - 1 + 1);
  }

  @Test
  void whatSkipsStagesSharesTheNicsOfItsHosts() {
    PipelineShape shape = Times.shape(3, 40);
    Schedule eager = FixedSchedules.of(Family.EAGER_1F1B, shape);
    Timing timing =
        Times.even(shape, 1, 2, 1.2).withSkips(List.of(new SkipSeconds(0, 2, 2.4, 2.4)));
    double apart = Times.makespan(eager, timing, Network.OVERLAPPED);
    double shared = Times.makespan(eager, timing, network("a", "b", "c"));
    assertThat(apart).isLessThan(shared);
    assertThat(shared).as("NICs of a and c").isGreaterThanOrEqualTo(40 * 3.6);
  }

  @Test
  void skipsThatCannotBeAreRefusedWithARemedy() {
    PipelineShape shape = Times.shape(4, 8);
    Timing timing = Times.even(shape, 1, 1, 0);
    for (int[] ends : new int[][] {{0, 1}, {2, 0}, {-1, 2}, {1, 4}, {0, 0}}) {
      FixedSchedulesTest.refused(
          () -> timing.withSkips(List.of(new SkipSeconds(ends[0], ends[1], 0, 0))),
          "A skip from %d to %d cannot be among 4 stages".formatted(ends[0], ends[1]));
    }
    SkipSeconds good = new SkipSeconds(0, 3, 1, 1);
    FixedSchedulesTest.refused(() -> timing.withSkips(List.of(good, good)), "stated twice");
    FixedSchedulesTest.refused(
        () -> timing.withSkips(List.of(new SkipSeconds(0, 3, Double.NaN, 1))), "takes NaN");
    Schedule schedule = FixedSchedules.of(Family.GPIPE, shape);
    FixedSchedulesTest.refused(
        () -> Times.makespan(schedule, timing.withSkips(List.of(good)), Network.BLOCKING),
        "leave out overlap=False");
  }

  @Test
  void aLargePipelineIsQuick() {
    PipelineShape shape = Times.shape(64, 512);
    Schedule schedule = FixedSchedules.of(Family.ZB_H1, shape);
    Timing timing = Times.apart(shape, 1, 1, 1, 0.4);
    MemoryUse use = MemoryUse.counting(shape);
    double best = Double.POSITIVE_INFINITY;
    for (int run = 0; run < 8; run++) {
      double start = Times.processorSeconds();
      Simulator.simulate(schedule, timing, Network.OVERLAPPED, use);
      best = Math.min(best, Times.processorSeconds() - start);
    }
    assertThat(best).as("seconds of a processor, best of eight").isLessThan(0.1);
  }

  @Test
  void timesThatCannotBeAreRefusedWithARemedy() {
    PipelineShape shape = Times.shape(4, 8);
    FixedSchedulesTest.refused(() -> Times.even(shape, -1, 1, 0), "forward holds -1.0");
    FixedSchedulesTest.refused(() -> Times.even(shape, 1, Double.NaN, 0), "backward holds NaN");
    FixedSchedulesTest.refused(() -> Times.even(shape, 1, 1e9, 0), "State seconds");
    Series one = Series.of(1);
    Series three = Series.of(List.of(1.0, 1.0, 1.0));
    FixedSchedulesTest.refused(
        () -> Timing.of(shape, three, one, Optional.empty(), one, one),
        "forward lists 3 numbers for 4 stages");
    Series four = Series.of(List.of(1.0, 1.0, 1.0, 1.0));
    FixedSchedulesTest.refused(
        () -> Timing.of(shape, four, one, Optional.empty(), four, three),
        "transfer lists 4 numbers for the 3 boundaries of 4 stages");
    Schedule apart = FixedSchedules.of(Family.ZB_H1, shape);
    FixedSchedulesTest.refused(
        () -> Times.makespan(apart, Times.even(shape, 1, 1, 0), Network.OVERLAPPED),
        "state weight");
    FixedSchedulesTest.refused(
        () -> Times.makespan(apart, Times.apart(shape, 1, 1, 1, 0), network("a", "b")),
        "hosts lists 2 names for 4 stages");
    FixedSchedulesTest.refused(() -> new Network(true, true, false, List.of()), "overlap=False");
  }
}
