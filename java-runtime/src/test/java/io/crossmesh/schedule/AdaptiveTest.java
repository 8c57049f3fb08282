package io.crossmesh.schedule;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class AdaptiveTest {
  static Stream<Long> seeds() {
    return LongStream.range(0, 150).boxed();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void noFixedScheduleThatFitsTheCapIsBetter(long seed) {
    Random random = new Random(seed);
    int n = 1 + random.nextInt(6);
    int v = seed % 5 == 0 ? 2 : 1;
    int m = v > 1 ? n * (1 + random.nextInt(4)) : 1 + random.nextInt(16);
    PipelineShape shape = new PipelineShape(n, m, v, false);
    boolean split = random.nextBoolean();
    boolean overlap = random.nextInt(4) > 0;
    Timing stated = Times.random(shape, split, random);
    Timing timing = overlap && random.nextBoolean() ? Times.skipping(stated, random) : stated;
    List<String> hosts = new ArrayList<>();
    for (int i = 0; i < n && seed % 4 == 0; i++) {
      hosts.add("h" + random.nextInt(3));
    }
    Network network =
        new Network(overlap, !overlap && random.nextBoolean(), random.nextInt(4) == 0, hosts);
    MemoryUse use =
        MemoryUse.of(shape, Series.of(1 + random.nextInt(3)), Series.of(random.nextInt(3)));
    Budget budget = Budget.of(shape, Series.of(v > 1 ? 3.0 * m : 3 + random.nextInt(12)), use);

    Schedule chosen = Adaptive.choose(timing, network, budget);
    budget.require(chosen);
    double makespan = Times.makespan(chosen, timing, network);
    for (Family family : Family.values()) {
      boolean plain =
          v == 1
              && (List.of(Family.GPIPE, Family.ONE_F_ONE_B, Family.EAGER_1F1B).contains(family)
                  || (family == Family.ZB_H1 && split));
      if (!plain && !(v > 1 && family == Family.INTERLEAVED_1F1B)) {
        continue;
      }
      Schedule fixed = FixedSchedules.of(family, shape);
      if (budget.allows(Peaks.of(shape, fixed.split(), fixed.ops(), use))) {
        assertThat(makespan)
            .as("seed %d against %s", seed, family)
            .isLessThanOrEqualTo(Times.makespan(fixed, timing, network));
      }
    }
    assertThat(Adaptive.choose(timing, network, budget)).isEqualTo(chosen);
  }

  /** Fill, drain and all work of the slowest stage: no schedule of two stages is quicker. */
  @Test
  void comesNearToThePipelineWhoseNetworkIsFree() {
    PipelineShape shape = Times.shape(2, 32);
    double[] rho = {0.15, 0.3, 0.6, 1.0, 1.3};
    double[] least = {0.97, 0.97, 0.97, 0.95, 0.88};
    for (int i = 0; i < rho.length; i++) {
      Budget budget = Budget.of(shape, Series.of(5), MemoryUse.counting(shape));
      Timing free = Times.apart(shape, 10, 10, 10, 0);
      Timing slow = Times.apart(shape, 10, 10, 10, rho[i] * 30 / 2);
      double bound =
          Times.makespan(
              Adaptive.choose(free, Network.OVERLAPPED, budget), free, Network.OVERLAPPED);
      double real =
          Times.makespan(
              Adaptive.choose(slow, Network.OVERLAPPED, budget), slow, Network.OVERLAPPED);
      assertThat(bound / real).as("rho %s", rho[i]).isGreaterThan(least[i]);
    }
  }

  @Test
  void aLargePipelineIsChosenQuickly() {
    PipelineShape shape = Times.shape(64, 512);
    Timing timing = Times.apart(shape, 1, 1, 1, 0.4);
    Budget budget = Budget.of(shape, Series.of(100), MemoryUse.counting(shape));
    double best = Double.POSITIVE_INFINITY;
    for (int run = 0; run < 3; run++) {
      double start = Times.processorSeconds();
      Adaptive.choose(timing, Network.OVERLAPPED, budget);
      best = Math.min(best, Times.processorSeconds() - start);
    }
    assertThat(best).as("seconds of a processor, best of three").isLessThan(1);
  }

  @Test
  void aCapThatNothingKeepsIsRefused() {
    PipelineShape shape = Times.shape(3, 4);
    Timing timing = Times.even(shape, 1, 2, 0);
    MemoryUse use = MemoryUse.of(shape, Series.of(List.of(1.0, 5.0, 1.0)), Series.of(0));
    FixedSchedulesTest.refused(
        () -> Adaptive.choose(timing, Network.OVERLAPPED, Budget.of(shape, Series.of(4), use)),
        "One micro-batch needs 5 on stage 1, more than the cap of 4; raise memory");
    FixedSchedulesTest.refused(
        () ->
            Budget.of(shape, Series.of(8), use)
                .require(FixedSchedules.of(Family.ONE_F_ONE_B, shape)),
        "needs 10 on stage 1, more than the cap of 8; raise memory to 10");
    Schedule one = Adaptive.choose(timing, Network.OVERLAPPED, Budget.of(shape, Series.of(5), use));
    assertThat(one.warmup(1)).isEqualTo(1);
  }

  @Test
  void inferenceIsForwardsInOrder() {
    PipelineShape shape = new PipelineShape(2, 3, 1, true);
    Timing timing =
        Timing.of(shape, Series.of(1), Series.of(0), Optional.empty(), Series.of(0), Series.of(0));
    Schedule schedule =
        Adaptive.choose(
            timing, Network.OVERLAPPED, Budget.unlimited(shape, MemoryUse.counting(shape)));
    assertThat(schedule.digest()).isEqualTo(FixedSchedules.of(Family.GPIPE, shape).digest());
  }
}
