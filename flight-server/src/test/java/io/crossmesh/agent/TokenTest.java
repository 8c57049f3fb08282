package io.crossmesh.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;

class TokenTest {
  @Test
  void onlyTheTokenItselfMatches() {
    Token token = Token.of("correct-horse");
    assertThat(token.matches("correct-horse")).isTrue();
    assertThat(token.matches("correct-horsf")).isFalse();
    assertThat(token.matches("correct-hors")).isFalse();
    assertThat(token.matches("correct-horse ")).isFalse();
    assertThat(token.matches("")).isFalse();
  }

  @Test
  void generatedTokensDiffer() {
    assertThat(Token.generate().matches(Token.generate().reveal())).isFalse();
  }

  @Test
  void noTokenIsPrinted() {
    Token token = Token.generate();
    assertThat(token.toString()).doesNotContain(token.reveal());
  }

  @Test
  void tokensThatCannotTravelInAHeaderAreRefused() {
    for (String wrong : new String[] {"short", "with a space", "with\nnewline", "ümlaut-token"}) {
      assertThatIllegalArgumentException().as(wrong).isThrownBy(() -> Token.of(wrong));
    }
    assertThatIllegalArgumentException()
        .isThrownBy(() -> Token.of("x".repeat(Token.LENGTH_MAX + 1)));
  }
}
