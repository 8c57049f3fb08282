package io.crossmesh.mesh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ShardingTest {
  private static final Mesh TWO_BY_FOUR = Mesh.ofHosts(List.of(2, 4), List.of("a", "b"));

  private static List<String> tiles(Sharding sharding, Long... shape) {
    return IntStream.range(0, sharding.mesh().size())
        .mapToObj(device -> sharding.tile(List.of(shape), device).toString())
        .toList();
  }

  @ParameterizedTest
  @CsvSource({"S0 R S1,S0 R S1", "S0RS1,S0 R S1", "S01,S01", "S10,S10", "' R  R',R R", "'',''"})
  void notationIsReadWithAndWithoutSpaces(String written, String canonical) {
    assertThat(Sharding.parse(TWO_BY_FOUR, written)).hasToString(canonical);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {"S", "S R", "R0", "X", "s0", "S0,R", "S0 0", "S2", "S0 S0", "S00", "RRRRRRRRR"})
  void notationThatSaysNothingIsRefused(String written) {
    assertThatThrownBy(() -> Sharding.parse(TWO_BY_FOUR, written))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.LAYOUT))
        .hasMessageContaining("'" + written.charAt(0));
  }

  @Test
  void axesOfTwoDigitsAreWrittenInBrackets() {
    Mesh mesh =
        Mesh.ofHosts(List.of(1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1), List.of("a", "b"));
    for (String written : List.of("S(1,11) R S0", "S(11) S01 R", "S1 S(0,11)")) {
      assertThat(Sharding.parse(mesh, written)).hasToString(written);
    }
    assertThat(Sharding.parse(mesh, "S( 11 , 1 )RS(0)")).hasToString("S(11,1) R S0");
    assertThat(Sharding.parse(mesh, "S(11,1)").tile(List.of(8L), 1)).hasToString("[4:6]");
    for (String wrong :
        List.of("S(", "S()", "S(1", "S(1,)", "S(x)", "S(-1)", "S(9999999)", "S(16)")) {
      assertThatThrownBy(() -> Sharding.parse(mesh, wrong))
          .isInstanceOf(CrossmeshException.class)
          .hasMessageContaining(wrong);
    }
  }

  @Test
  void aMessageAboutAnAxisNamesLayoutAndMesh() {
    assertThatThrownBy(() -> Sharding.parse(TWO_BY_FOUR, "R S7"))
        .hasMessageContaining("'R S7'")
        .hasMessageContaining("2x4 mesh of hosts a, b")
        .hasMessageContaining("axis 7");
  }

  @Test
  void evenTilesFollowTheAxesInRowMajorOrder() {
    assertThat(tiles(Sharding.parse(TWO_BY_FOUR, "S0 R S1"), 8L, 16L, 4L))
        .startsWith("[0:4, 0:16, 0:1]", "[0:4, 0:16, 1:2]")
        .endsWith("[4:8, 0:16, 2:3]", "[4:8, 0:16, 3:4]");
  }

  @Test
  void theFirstAxisWrittenIsTheMajorOne() {
    assertThat(tiles(Sharding.parse(TWO_BY_FOUR, "S01"), 8L))
        .containsExactly("[0:1]", "[1:2]", "[2:3]", "[3:4]", "[4:5]", "[5:6]", "[6:7]", "[7:8]");
    assertThat(tiles(Sharding.parse(TWO_BY_FOUR, "S10"), 8L))
        .containsExactly("[0:1]", "[2:3]", "[4:5]", "[6:7]", "[1:2]", "[3:4]", "[5:6]", "[7:8]");
  }

  @Test
  void unevenBlocksAreCeilBlocksAndTheLastMayBeShortOrEmpty() {
    assertThat(tiles(Sharding.parse(TWO_BY_FOUR, "S1"), 5L))
        .startsWith("[0:2]", "[2:4]", "[4:5]", "[5:5]");
    assertThat(tiles(Sharding.parse(TWO_BY_FOUR, "S1"), 0L)).allMatch("[0:0]"::equals);
  }

  @Test
  void scalarsAreReplicated() {
    assertThat(tiles(Sharding.parse(TWO_BY_FOUR, ""))).allMatch("[]"::equals);
  }

  @Test
  void hugeExtentsDoNotOverflow() {
    long n = Long.MAX_VALUE;
    assertThat(Sharding.cut(n, 8, 8)).isEqualTo(n);
    assertThat(Sharding.cut(n, 8, 1)).isEqualTo(Math.ceilDiv(n, 8L));
    assertThat(Sharding.cut(0, 8, 3)).isZero();
    assertThat(Sharding.cut(n, 65_536, 65_536)).isEqualTo(n);
  }

  @Test
  void rankMismatchNamesShapeAndLayout() {
    assertThatThrownBy(() -> Sharding.parse(TWO_BY_FOUR, "S0").tile(List.of(4L, 4L), 0))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("[4, 4]")
        .hasMessageContaining("'S0'");
  }
}
