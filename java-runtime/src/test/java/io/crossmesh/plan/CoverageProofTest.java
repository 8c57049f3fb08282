package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class CoverageProofTest {
  private static final TensorReshard RESHARD =
      new TensorReshard(
          new TensorSpec("w", List.of(8L, 8L), DType.of("int32")),
          Sharding.parse(Mesh.ofHosts(List.of(2, 2), List.of("a", "b")), "S0 R"),
          Sharding.parse(Mesh.ofHosts(List.of(2, 2), List.of("c", "d")), "R S0"));

  private static IntStream seeds() {
    return IntStream.range(0, 100);
  }

  private static Box box(long... ends) {
    return Box.of(new long[] {ends[0], ends[2]}, new long[] {ends[1], ends[3]});
  }

  private static Move move(Box box, int sender, List<Integer> receivers, String... route) {
    long bytes = box.volume() * 4;
    return new Move(0, box, bytes, bytes, 0, 1, sender, receivers, List.of(route));
  }

  private static List<Move> good() {
    return new ArrayList<>(
        List.of(
            move(box(0, 4, 0, 4), 0, List.of(0, 1), "a", "c"),
            move(box(0, 4, 4, 8), 0, List.of(2, 3), "a", "d"),
            move(box(4, 8, 0, 4), 2, List.of(0, 1), "b", "c"),
            move(box(4, 8, 4, 8), 2, List.of(2, 3), "b", "d")));
  }

  private static Optional<String> fault(List<Move> moves) {
    return CoverageProof.fault(List.of(RESHARD), moves);
  }

  private static void refused(Move instead, String why) {
    List<Move> moves = good();
    moves.set(0, instead);
    assertThat(fault(moves)).hasValueSatisfying(text -> assertThat(text).contains(why, "'w'"));
  }

  @Test
  void aRightPlanIsProven() {
    assertThat(fault(good())).isEmpty();
  }

  @Test
  void aMissingMoveIsFoundAndNamesWhatIsMissing() {
    List<Move> moves = good();
    moves.remove(3);
    assertThat(fault(moves))
        .hasValueSatisfying(
            text -> assertThat(text).contains("device 2 (d:0)", "[4:8, 4:8]", "no move"));
  }

  @Test
  void aRepeatedMoveIsFound() {
    List<Move> moves = good();
    moves.add(moves.get(1));
    assertThat(fault(moves))
        .hasValueSatisfying(text -> assertThat(text).contains("[0:4, 4:8]", "2 moves"));
  }

  @Test
  void oneReceiverLeftOutIsFound() {
    refused(move(box(0, 4, 0, 4), 0, List.of(0), "a", "c"), "device 1 (c:1)");
  }

  @Test
  void overlapAndGapOfEqualVolumeAreFound() {
    List<Move> moves = good();
    moves.set(0, move(box(0, 4, 0, 3), 0, List.of(0, 1), "a", "c"));
    moves.add(move(box(0, 2, 0, 2), 0, List.of(0, 1), "a", "c"));
    assertThat(fault(moves)).isPresent();
  }

  @Test
  void sendersThatDoNotHoldTheSliceAreFound() {
    refused(move(box(0, 4, 0, 4), 2, List.of(0, 1), "b", "c"), "does not hold");
    refused(move(box(0, 4, 0, 4), 9, List.of(0, 1), "b", "c"), "not in the source mesh");
    refused(move(box(0, 4, 0, 4), 1, List.of(0, 1), "a", "c"), "first holder");
  }

  @Test
  void routesThatMissTheirHostsAreFound() {
    refused(move(box(0, 4, 0, 4), 0, List.of(0, 1), "b", "c"), "begin at the sender");
    refused(move(box(0, 4, 0, 4), 0, List.of(0, 1), "a", "d"), "not those of the receivers");
    refused(move(box(0, 4, 0, 4), 0, List.of(0, 1), "a", "c", "d"), "not those");
    refused(move(box(0, 4, 0, 4), 0, List.of(0, 1), "a", "c", "c"), "twice");
    refused(move(box(0, 4, 0, 4), 0, List.of(1, 0), "a", "c"), "ascending");
    refused(move(box(0, 4, 0, 4), 0, List.of(0, 0), "a", "c"), "ascending");
  }

  @Test
  void slicesOutsideTensorOrTileAreFound() {
    refused(move(box(0, 9, 0, 4), 0, List.of(0, 1), "a", "c"), "not in the tensor");
    refused(move(box(0, 4, 0, 5), 0, List.of(0, 1), "a", "c"), "not inside it");
    refused(move(box(0, 4, 4, 4), 0, List.of(0, 1), "a", "c"), "empty");
  }

  @Test
  void wrongSizesAndTimesAreFound() {
    Box slice = box(0, 4, 0, 4);
    List<Integer> to = List.of(0, 1);
    List<String> route = List.of("a", "c");
    refused(new Move(0, slice, 63, 63, 0, 1, 0, to, route), "63 bytes");
    refused(new Move(0, slice, 64, 32, 0, 1, 0, to, route), "chunks of 32");
    refused(new Move(0, slice, 64, 0, 0, 1, 0, to, route), "chunks of 0");
    refused(new Move(0, slice, 64, 64, 2, 1, 0, to, route), "times");
    refused(new Move(0, slice, 64, 64, Double.NaN, 1, 0, to, route), "times");
  }

  /** All of 'w' from a to c, from where it is forwarded to d. */
  private static Optional<String> ringFault(Move first, Move second) {
    Sharding src = Sharding.parse(Mesh.ofHosts(List.of(2), List.of("a", "b")), "R R");
    Sharding dst = Sharding.parse(Mesh.ofHosts(List.of(2), List.of("c", "d")), "R R");
    TensorReshard all = new TensorReshard(RESHARD.tensor(), src, dst);
    return CoverageProof.fault(List.of(all), List.of(first, second));
  }

  private static Move whole(double start, int sender, int receiver, String... route) {
    return new Move(
        0, box(0, 8, 0, 8), 256, 256, start, start + 1, sender, List.of(receiver), List.of(route));
  }

  @Test
  void aHostForwardsWhatAnEarlierMoveBrings() {
    Move first = whole(0, 0, 0, "a", "c");
    assertThat(ringFault(first, whole(1, 0, 1, "c", "d"))).isEmpty();
    assertThat(ringFault(whole(1, 0, 1, "c", "d"), first))
        .hasValueSatisfying(text -> assertThat(text).contains("nor where an earlier move"));
    assertThat(ringFault(first, whole(1, 1, 1, "c", "d")))
        .hasValueSatisfying(text -> assertThat(text).contains("nor where an earlier move"));
    assertThat(ringFault(first, whole(0.5, 0, 1, "c", "d")))
        .hasValueSatisfying(text -> assertThat(text).contains("starts before"));
    assertThat(ringFault(first, whole(1, 0, 1, "d", "c")))
        .hasValueSatisfying(text -> assertThat(text).contains("nor where an earlier move"));
    assertThat(ringFault(first, whole(1, 0, 1, "c", "a")))
        .hasValueSatisfying(text -> assertThat(text).contains("back to the sender"));
    assertThat(ringFault(first, whole(1, 0, 0, "c")))
        .hasValueSatisfying(text -> assertThat(text).contains("not the sender's"));
    Move half = whole(1, 0, 1, "c", "d");
    Move otherBox = new Move(0, box(0, 4, 0, 8), 128, 128, 1, 2, 0, half.receivers(), half.route());
    assertThat(ringFault(first, otherBox))
        .hasValueSatisfying(text -> assertThat(text).contains("nor where an earlier move"));
  }

  @Test
  void theFiveBoxPinwheelThatNoPlaneSplitsIsAccepted() {
    List<Box> pinwheel =
        List.of(
            box(0, 1, 0, 2), box(0, 2, 2, 3), box(2, 3, 1, 3), box(1, 3, 0, 1), box(1, 2, 1, 2));
    assertThat(ExactCover.fault(box(0, 3, 0, 3), pinwheel)).isEmpty();
    assertThat(ExactCover.fault(box(0, 3, 0, 3), pinwheel.subList(0, 4)))
        .hasValueSatisfying(text -> assertThat(text).contains("[1:2, 1:2]"));
  }

  /** Random lists of boxes against counting every element. */
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void theVerdictIsThatOfCounting(int seed) {
    Random random = new Random(seed);
    for (int round = 0; round < 50; round++) {
      List<Box> boxes = new ArrayList<>();
      split(box(0, 1 + random.nextInt(6), 0, 1 + random.nextInt(6)), random, boxes);
      long rows = boxes.stream().mapToLong(b -> b.hi(0)).max().orElse(0);
      long columns = boxes.stream().mapToLong(b -> b.hi(1)).max().orElse(0);
      if (random.nextBoolean()) {
        int at = random.nextInt(boxes.size());
        Box old = boxes.remove(at);
        if (random.nextBoolean()) {
          boxes.add(boxes.isEmpty() ? old : boxes.get(random.nextInt(boxes.size())));
        }
      }
      int[][] count = new int[(int) rows][(int) columns];
      boolean exact = true;
      for (Box box : boxes) {
        for (long r = box.lo(0); r < box.hi(0); r++) {
          for (long c = box.lo(1); c < box.hi(1); c++) {
            count[(int) r][(int) c]++;
          }
        }
      }
      for (int[] row : count) {
        for (int n : row) {
          exact &= n == 1;
        }
      }
      assertThat(ExactCover.fault(box(0, rows, 0, columns), boxes).isEmpty())
          .as("%s", boxes)
          .isEqualTo(exact);
    }
  }

  private static void split(Box region, Random random, List<Box> into) {
    int d = random.nextInt(2);
    if (region.extent(d) < 2 || random.nextInt(4) == 0) {
      into.add(region);
      return;
    }
    long at = region.lo(d) + 1 + random.nextLong(region.extent(d) - 1);
    long[] ends = {region.lo(0), region.hi(0), region.lo(1), region.hi(1)};
    long[] left = ends.clone();
    long[] right = ends.clone();
    left[2 * d + 1] = at;
    right[2 * d] = at;
    split(box(left), random, into);
    split(box(right), random, into);
  }
}
