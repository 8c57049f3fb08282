package io.crossmesh.flight;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.mesh.Box;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class BandsTest {
  static List<Long> seeds() {
    return new Random(20).longs(200).boxed().toList();
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void bandsInOrderAreTheBoxInRowMajorOrder(long seed) {
    Random random = new Random(seed);
    int rank = random.nextInt(5);
    long[] lo = new long[rank];
    long[] hi = new long[rank];
    for (int d = 0; d < rank; d++) {
      lo[d] = random.nextInt(4);
      hi[d] = lo[d] + 1 + random.nextInt(6);
    }
    Box box = Box.of(lo, hi);
    int element = 1 << random.nextInt(4);
    long max = 1L + random.nextInt(200);
    List<List<Long>> visited = new ArrayList<>();
    for (Box band : Bands.of(box, element, max)) {
      assertThat(band.volume() * element).isLessThanOrEqualTo(Math.max(max, element));
      visited.addAll(elements(band));
    }
    assertThat(visited).isEqualTo(elements(box));
  }

  @Test
  void anEmptyBoxHasNoBand() {
    assertThat(Bands.of(Box.of(new long[] {3, 0}, new long[] {3, 9}), 4, 100)).isEmpty();
  }

  @Test
  void aLargeBoxIsCutWhereRowsFit() {
    Box box = Box.of(new long[] {0, 0}, new long[] {1000, 1000});
    List<Box> bands = new ArrayList<>();
    Bands.of(box, 4, 1 << 20).forEach(bands::add);
    assertThat(bands).hasSize(4);
    assertThat(bands.getFirst()).isEqualTo(Box.of(new long[] {0, 0}, new long[] {262, 1000}));
  }

  private static List<List<Long>> elements(Box box) {
    List<List<Long>> all = new ArrayList<>();
    all.add(List.of());
    for (int d = 0; d < box.rank(); d++) {
      List<List<Long>> longer = new ArrayList<>();
      for (List<Long> prefix : all) {
        for (long i = box.lo(d); i < box.hi(d); i++) {
          List<Long> index = new ArrayList<>(prefix);
          index.add(i);
          longer.add(index);
        }
      }
      all = longer;
    }
    return all;
  }
}
