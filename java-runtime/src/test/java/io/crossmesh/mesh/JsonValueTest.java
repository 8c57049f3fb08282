package io.crossmesh.mesh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.CrossmeshException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class JsonValueTest {
  @ParameterizedTest
  @ValueSource(strings = {"\\ud800b", "b\\udc00", "\\udc00\\ud800"})
  void halvesOfCharactersAreRefused(String text) {
    JsonValue value = JsonValue.parse("{\"host\":\"" + text + "\"}", "claim").get("host");
    assertThatThrownBy(value::text)
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("whole characters");
  }

  @Test
  void charactersBeyondTheFirstPlaneAreRead() {
    assertThat(JsonValue.parse("[\"\\ud83d\\ude00\"]", "names").items(1).getFirst().text())
        .hasSize(2);
  }

  @Test
  void onlyTrueAndFalseAreTruths() {
    assertThat(JsonValue.parse("{\"v\":true}", "claim").get("v").truth()).isTrue();
    assertThatThrownBy(() -> JsonValue.parse("{\"v\":1}", "claim").get("v").truth())
        .isInstanceOf(CrossmeshException.class);
  }
}
