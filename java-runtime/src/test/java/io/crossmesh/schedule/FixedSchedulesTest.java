package io.crossmesh.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class FixedSchedulesTest {
  private static final List<Family> PLAIN =
      List.of(Family.GPIPE, Family.ONE_F_ONE_B, Family.EAGER_1F1B, Family.ZB_H1);

  static Stream<Integer> stageCounts() {
    return IntStream.of(1, 2, 3, 4, 5, 6, 7, 8, 16, 32).boxed();
  }

  /**
   * That each operation is there once and in order, and that nobody waits for ever, is checked when
   * a schedule is made.
   */
  @ParameterizedTest
  @MethodSource("stageCounts")
  void warmUpsAndPeaksAreAsPromised(int n) {
    for (int m = 1; m <= 128; m++) {
      PipelineShape shape = Times.shape(n, m);
      for (Family family : PLAIN) {
        Schedule schedule = FixedSchedules.of(family, shape);
        List<Integer> peaks =
            Peaks.of(shape, schedule.split(), schedule.ops(), MemoryUse.counting(shape))
                .activations();
        for (int i = 0; i < n; i++) {
          int warmup =
              switch (family) {
                case GPIPE -> m;
                case EAGER_1F1B -> Math.min(m, 2 * (n - i) - 1);
                default -> Math.min(m, n - i);
              };
          assertThat(schedule.warmup(i)).as("%s stage %d, %s", family, i, shape).isEqualTo(warmup);
          assertThat(peaks.get(i))
              .as("%s stage %d, %s", family, i, shape)
              .isEqualTo(family == Family.ZB_H1 ? Math.min(m, n) : warmup);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("stageCounts")
  void interleavedHoldsWhatItsWarmUpSays(int n) {
    for (int v = 2; v <= 3; v++) {
      for (int m = n; m <= 128; m += Math.max(n, 128 / 8 / n * n)) {
        PipelineShape shape = new PipelineShape(n, m, v, false);
        Schedule schedule = FixedSchedules.of(Family.INTERLEAVED_1F1B, shape);
        List<Integer> peaks =
            Peaks.of(shape, false, schedule.ops(), MemoryUse.counting(shape)).activations();
        for (int i = 0; i < n; i++) {
          assertThat(peaks.get(i)).isEqualTo(FixedSchedules.interleavedWarmup(shape, i));
          assertThat(schedule.warmup(i)).isEqualTo(peaks.get(i));
        }
      }
    }
  }

  @Test
  void oneStepOfEachByHand() {
    assertThat(lists(Family.GPIPE, 2, 3))
        .containsExactly("F0.0 F1.0 F2.0 B0.0 B1.0 B2.0", "F0.1 F1.1 F2.1 B0.1 B1.1 B2.1");
    assertThat(lists(Family.ONE_F_ONE_B, 2, 3))
        .containsExactly("F0.0 F1.0 B0.0 F2.0 B1.0 B2.0", "F0.1 B0.1 F1.1 B1.1 F2.1 B2.1");
    assertThat(lists(Family.EAGER_1F1B, 2, 4))
        .containsExactly(
            "F0.0 F1.0 F2.0 B0.0 F3.0 B1.0 B2.0 B3.0", "F0.1 B0.1 F1.1 B1.1 F2.1 B2.1 F3.1 B3.1");
    assertThat(lists(Family.ZB_H1, 2, 3))
        .containsExactly(
            "F0.0 F1.0 B0.0 W0.0 F2.0 B1.0 W1.0 B2.0 W2.0",
            "F0.1 B0.1 F1.1 B1.1 W0.1 F2.1 B2.1 W1.1 W2.1");
    assertThat(text(FixedSchedules.of(Family.INTERLEAVED_1F1B, new PipelineShape(2, 2, 2, false))))
        .containsExactly(
            "F0.0 F1.0 F0.2 F1.2 B0.2 B1.2 B0.0 B1.0", "F0.1 F1.1 F0.3 B0.3 F1.3 B1.3 B0.1 B1.1");
  }

  @Test
  void inferenceRunsForwardsOnly() {
    for (Family family : PLAIN) {
      PipelineShape shape = new PipelineShape(3, 4, 1, true);
      Schedule schedule = FixedSchedules.of(family, shape);
      assertThat(text(schedule))
          .containsExactly("F0.0 F1.0 F2.0 F3.0", "F0.1 F1.1 F2.1 F3.1", "F0.2 F1.2 F2.2 F3.2");
      assertThat(Times.makespan(schedule, Times.even(shape, 2, 1, 1), Network.OVERLAPPED))
          .isEqualTo(2 * (4 + 3 - 1) + 2);
    }
    PipelineShape interleaved = new PipelineShape(2, 4, 2, true);
    assertThat(text(FixedSchedules.of(Family.INTERLEAVED_1F1B, interleaved)).getFirst())
        .isEqualTo("F0.0 F1.0 F0.2 F1.2 F2.0 F3.0 F2.2 F3.2");
  }

  @Test
  void theDigestSaysWhatRuns() {
    Schedule one = FixedSchedules.of(Family.ONE_F_ONE_B, Times.shape(1, 4));
    Schedule other = FixedSchedules.of(Family.EAGER_1F1B, Times.shape(1, 4));
    assertThat(one.digest()).hasSize(64).isEqualTo(other.digest());
    assertThat(one.digest())
        .isNotEqualTo(FixedSchedules.of(Family.GPIPE, Times.shape(1, 4)).digest());
  }

  @Test
  void listsThatAreNoScheduleAreRefusedWithTheLists() {
    PipelineShape shape = Times.shape(2, 2);
    List<List<Op>> good = FixedSchedules.of(Family.ONE_F_ONE_B, shape).ops();
    assertThat(violation(shape, good)).isEmpty();
    assertThat(violation(shape, List.of(good.getFirst()))).contains("1 lists for 2 stages");
    assertThat(violation(shape, swapped(good, 0, 0, 1))).contains("where micro-batch 0 is next");
    assertThat(violation(shape, swapped(good, 1, 0, 1))).contains("B0.1 before its F");
    assertThat(violation(shape, List.of(good.get(1), good.get(0)))).contains("another stage");
    assertThat(violation(shape, List.of(good.get(0).subList(0, 3), good.get(1))))
        .contains("runs B for 1 of 2");
    assertThatThrownBy(() -> new Schedule(Family.CUSTOM, shape, false, swapped(good, 0, 0, 1)))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.INTERNAL))
        .hasMessageContaining("stage 1: F0.1 B0.1 F1.1 B1.1");
    assertThatThrownBy(
            () ->
                new Schedule(
                    Family.ONE_F_ONE_B, shape, false, FixedSchedules.of(Family.GPIPE, shape).ops()))
        .hasMessageContaining("stage 1 holds 2 micro-batches, 1f1b promises 1");
  }

  @Test
  void stagesThatWaitForEachOtherAreFound() {
    PipelineShape shape = Times.shape(2, 2);
    List<List<Op>> ops = List.of(ops("F0.0 B0.0 F1.0 B1.0"), ops("F0.1 F1.1 B0.1 B1.1"));
    assertThat(violation(shape, ops)).contains("overlapped").contains("stage 0 waits for ever");
  }

  @Test
  void sizesThatCannotBeAreRefusedWithARemedy() {
    refused(() -> Times.shape(0, 1), "stages must be from 1 to 1024, not 0");
    refused(() -> Times.shape(1, 0), "microbatches must be from 1");
    refused(() -> new PipelineShape(4, 4, 65, false), "virtual must be from 1 to 64");
    refused(() -> Times.shape(1024, 65_536), "Use fewer micro-batches");
    refused(
        () -> FixedSchedules.of(Family.INTERLEAVED_1F1B, new PipelineShape(4, 6, 2, false)),
        "use for instance 8");
    refused(() -> FixedSchedules.of(Family.INTERLEAVED_1F1B, Times.shape(4, 8)), "virtual=2");
    refused(
        () -> FixedSchedules.of(Family.GPIPE, new PipelineShape(4, 8, 2, false)),
        "use interleaved-1f1b or adaptive");
    refused(() -> FixedSchedules.of(Family.ADAPTIVE, Times.shape(4, 8)), "state times");
    refused(() -> Family.of("1f2b"), "gpipe, 1f1b, eager-1f1b, interleaved-1f1b, zb-h1, adaptive");
    refused(() -> Op.parse("F3"), "as in F3.0");
  }

  static void refused(Runnable call, String message) {
    assertThatThrownBy(call::run)
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.SCHEDULE))
        .hasMessageContaining(message);
  }

  private static String violation(PipelineShape shape, List<List<Op>> ops) {
    return ScheduleCheck.violation(Family.CUSTOM, shape, false, ops).orElse("");
  }

  private static List<List<Op>> swapped(List<List<Op>> ops, int stage, int one, int two) {
    List<List<Op>> copy = new ArrayList<>();
    ops.forEach(list -> copy.add(new ArrayList<>(list)));
    Op first = copy.get(stage).get(one);
    copy.get(stage).set(one, copy.get(stage).get(two));
    copy.get(stage).set(two, first);
    return copy;
  }

  private static List<Op> ops(String text) {
    return Stream.of(text.split(" ")).map(Op::parse).toList();
  }

  private static List<String> lists(Family family, int stages, int microbatches) {
    return text(FixedSchedules.of(family, Times.shape(stages, microbatches)));
  }

  private static List<String> text(Schedule schedule) {
    return schedule.ops().stream()
        .map(list -> String.join(" ", list.stream().map(Op::toString).toList()))
        .toList();
  }
}
