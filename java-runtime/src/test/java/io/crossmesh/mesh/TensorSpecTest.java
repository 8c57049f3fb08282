package io.crossmesh.mesh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.CrossmeshException;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

class TensorSpecTest {
  private static final DType INT32 = DType.of("int32");

  @Test
  void bytesAreElementsTimesElementSize() {
    assertThat(new TensorSpec("w", List.of(3L, 5L), INT32).bytes()).isEqualTo(60);
    assertThat(new TensorSpec("", List.of(), INT32).bytes()).isEqualTo(4);
    assertThat(new TensorSpec("", List.of(0L, 5L), INT32).bytes()).isZero();
  }

  @Test
  void tooManyBytesAreRefusedByNameEvenWhenAnExtentIsZero() {
    assertThatThrownBy(() -> new TensorSpec("w", List.of(1L << 31, 1L << 31), INT32))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("'w'");
    assertThatThrownBy(() -> new TensorSpec("w", List.of(0L, 1L << 40, 1L << 40), INT32))
        .isInstanceOf(CrossmeshException.class);
  }

  @Test
  void negativeExtentsAndHighRanksAreRefused() {
    assertThatThrownBy(() -> new TensorSpec("w", List.of(-1L), INT32))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("[-1]");
    assertThatThrownBy(() -> new TensorSpec("w", Collections.nCopies(9, 1L), INT32))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("9 dimensions");
  }
}
