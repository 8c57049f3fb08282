package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class AnswersTest {
  private static final long CHANNEL = 7;

  private final List<String> sent = new ArrayList<>();
  private final Answers answers =
      new Answers(
          answer ->
              sent.add(
                  answer.host()
                      + answer.channel()
                      + (answer.hasDone() ? " done " + answer.done() : "")
                      + (answer.hasGranted() ? " granted " + answer.granted() : "")));

  @Test
  void keepsTheEndOfAStepUntilItIsFlushed() {
    answers.done("a", CHANNEL, 1);
    assertThat(sent).isEmpty();
    assertThat(answers.flush()).isEqualTo(1);
    assertThat(sent).containsExactly("a7 done 1");
    assertThat(answers.flush()).isZero();
  }

  @Test
  void sendsTheCreditForALaterStepWithTheLastEndOfOne() {
    answers.done("a", CHANNEL, 1);
    answers.done("a", CHANNEL, 2);
    answers.granted("a", CHANNEL, 6);
    answers.granted("a", CHANNEL, 7);
    answers.flush();
    assertThat(sent).containsExactly("a7 done 1", "a7 done 2 granted 6", "a7 granted 7");
  }

  @Test
  void neverSendsTheCreditForAStepWithOrBehindItsEnd() {
    answers.granted("a", CHANNEL, 3);
    answers.done("a", CHANNEL, 3);
    answers.granted("a", CHANNEL, 2);
    answers.done("a", CHANNEL, 2);
    answers.flush();
    assertThat(sent).containsExactly("a7 granted 3", "a7 done 3", "a7 granted 2", "a7 done 2");
  }

  @Test
  void keepsApartWhatIsForOthersAndWhatLiesTooFarApart() {
    answers.done("a", CHANNEL, Long.MIN_VALUE);
    answers.granted("a", CHANNEL, Long.MAX_VALUE);
    answers.granted("b", CHANNEL, 1);
    answers.done("b", 8, 0);
    answers.done("a", 8, 0);
    answers.granted("a", 8, 1L << 31);
    answers.flush();
    assertThat(sent)
        .containsExactly(
            "a7 done " + Long.MIN_VALUE,
            "a7 granted " + Long.MAX_VALUE,
            "b7 granted 1",
            "b8 done 0",
            "a8 done 0",
            "a8 granted " + (1L << 31));
  }
}
