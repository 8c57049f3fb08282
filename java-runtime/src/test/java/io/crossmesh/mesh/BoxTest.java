package io.crossmesh.mesh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.CrossmeshException;
import java.util.List;
import org.junit.jupiter.api.Test;

class BoxTest {
  private static Box box(long... ends) {
    long[] lo = new long[ends.length / 2];
    long[] hi = new long[ends.length / 2];
    for (int d = 0; d < lo.length; d++) {
      lo[d] = ends[2 * d];
      hi[d] = ends[2 * d + 1];
    }
    return Box.of(lo, hi);
  }

  @Test
  void intersectionIsTheCommonPart() {
    assertThat(box(0, 4, 2, 8).intersect(box(2, 6, 0, 3))).contains(box(2, 4, 2, 3));
  }

  @Test
  void boxesThatOnlyTouchDoNotIntersect() {
    assertThat(box(0, 4).intersect(box(4, 8))).isEmpty();
  }

  @Test
  void scalarHasOneElementAndMeetsItself() {
    Box scalar = Box.whole(List.of());
    assertThat(scalar.volume()).isEqualTo(1);
    assertThat(scalar.isEmpty()).isFalse();
    assertThat(scalar.intersect(scalar)).contains(scalar);
    assertThat(scalar).hasToString("[]");
  }

  @Test
  void emptyRangeMakesTheBoxEmpty() {
    assertThat(box(0, 4, 3, 3).isEmpty()).isTrue();
    assertThat(box(0, 4, 3, 3).volume()).isZero();
    assertThat(box(0, 4, 3, 3).shape()).containsExactly(4L, 0L);
  }

  @Test
  void containsComparesEveryDimension() {
    assertThat(box(0, 4, 0, 4).contains(box(1, 2, 0, 4))).isTrue();
    assertThat(box(0, 4, 0, 4).contains(box(1, 2, 0, 5))).isFalse();
    assertThat(box(0, 4).contains(box(0, 4, 0, 4))).isFalse();
  }

  @Test
  void equalRangesAreEqualBoxes() {
    assertThat(box(0, 4, 2, 8)).isEqualTo(box(0, 4, 2, 8)).hasSameHashCodeAs(box(0, 4, 2, 8));
    assertThat(box(0, 4, 2, 8)).isNotEqualTo(box(0, 4, 2, 9)).hasToString("[0:4, 2:8]");
  }

  @Test
  void laterChangesOfTheArraysDoNotReachTheBox() {
    long[] lo = {0};
    long[] hi = {4};
    Box box = Box.of(lo, hi);
    hi[0] = 9;
    assertThat(box.hi(0)).isEqualTo(4);
  }

  @Test
  void reversedAndNegativeBoundsAreRefused() {
    assertThatThrownBy(() -> box(4, 2)).isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> box(-1, 2)).isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> Box.of(new long[1], new long[2]))
        .isInstanceOf(CrossmeshException.class);
  }
}
