package io.crossmesh.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class StepClockTest {
  private final StepClock clock = new StepClock();

  @Test
  void aStepTakesTheTimeBetweenItsTwoEnds() {
    clock.called(5, 100);

    assertThat(clock.ended(5, 130)).isEqualTo(30);
    assertThat(clock.ended(5, 140)).isEqualTo(StepClock.UNKNOWN);
  }

  @Test
  void aStepThatWasNeverCalledIsUnknown() {
    assertThat(clock.ended(0, 1)).isEqualTo(StepClock.UNKNOWN);
  }

  @Test
  void aYoungerStepInTheSamePlaceWins() {
    clock.called(1, 100);
    clock.called(1 + StepClock.STEPS_MAX, 200);

    assertThat(clock.ended(1, 300)).isEqualTo(StepClock.UNKNOWN);
    assertThat(clock.ended(1 + StepClock.STEPS_MAX, 300)).isEqualTo(100);
  }
}
