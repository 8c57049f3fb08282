package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Mesh;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Plans of random requests, element by element: what a plan says is compared with what the layouts
 * say, without the planner's own grid, groups or proof. The seed of a failure is in its name.
 */
class PlannerPropertyTest {
  private static final int REQUESTS_PER_SEED = 20;

  private static IntStream seeds() {
    return IntStream.range(0, 60);
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void everyElementArrivesOnceFromAHolder(int seed) {
    RandomRequests requests = new RandomRequests(seed);
    for (int i = 0; i < REQUESTS_PER_SEED; i++) {
      Plan plan = Planner.plan(requests.next());
      for (int t = 0; t < plan.request().tensors().size(); t++) {
        checkElements(plan, t);
      }
      plan.moves().forEach(move -> checkMove(plan, move));
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void bytesAndTimesAddUp(int seed) {
    RandomRequests requests = new RandomRequests(1000L + seed);
    for (int i = 0; i < REQUESTS_PER_SEED; i++) {
      Plan plan = Planner.plan(requests.next());
      long sent = plan.bytesSent().values().stream().mapToLong(Long::longValue).sum();
      assertThat(plan.bytesReceived().values().stream().mapToLong(Long::longValue).sum())
          .isEqualTo(sent);
      assertThat(plan.bytesSent().keySet()).isEqualTo(plan.request().hosts());
      double end = plan.moves().stream().mapToDouble(Move::end).max().orElse(0);
      assertThat(plan.makespan()).isGreaterThanOrEqualTo(plan.lowerBound());
      assertThat(plan.makespan()).isCloseTo(end, within(1e-12 * end));
      assertThat(plan.gap() == 0 || plan.lowerBound() > 0).isTrue();
      if (plan.chosen().stream().allMatch(c -> c.strategy() != Strategy.SEND_RECV)) {
        checkReceivedOnce(plan);
      }
      Plan again = Planner.plan(plan.request());
      assertThat(again).isEqualTo(plan);
    }
  }

  private static void checkElements(Plan plan, int tensor) {
    TensorReshard reshard = plan.request().tensors().get(tensor);
    List<Long> shape = reshard.tensor().shape();
    for (int device = 0; device < reshard.dst().mesh().size(); device++) {
      Map<List<Long>, Integer> arrivals = new HashMap<>();
      for (Move move : plan.moves()) {
        if (move.tensor() == tensor && move.receivers().contains(device)) {
          elements(move.box(), element -> arrivals.merge(element, 1, Integer::sum));
        }
      }
      Set<List<Long>> needed = new HashSet<>();
      elements(reshard.dst().tile(shape, device), needed::add);
      assertThat(arrivals.keySet()).as("%s device %d", plan.request(), device).isEqualTo(needed);
      assertThat(arrivals.values()).as("%s", plan.request()).allMatch(count -> count == 1);
    }
  }

  private static void checkMove(Plan plan, Move move) {
    TensorReshard reshard = plan.request().tensors().get(move.tensor());
    Mesh src = reshard.src().mesh();
    Mesh dst = reshard.dst().mesh();
    List<Long> shape = reshard.tensor().shape();
    String host = src.hostOf(move.sender());
    assertThat(reshard.src().tile(shape, move.sender()).contains(move.box())).isTrue();
    Strategy strategy = plan.chosen().get(move.tensor()).strategy();
    if (strategy == Strategy.GLOBAL_ALL_GATHER && !move.route().getFirst().equals(host)) {
      assertThat(move.route()).hasSize(2);
      assertThat(plan.moves().subList(0, plan.moves().indexOf(move)))
          .filteredOn(earlier -> earlier.tensor() == move.tensor())
          .filteredOn(earlier -> earlier.box().equals(move.box()))
          .filteredOn(earlier -> earlier.route().getLast().equals(move.route().getFirst()))
          .singleElement()
          .satisfies(earlier -> assertThat(earlier.sender()).isEqualTo(move.sender()))
          .satisfies(earlier -> assertThat(earlier.end()).isLessThanOrEqualTo(move.start()));
    } else {
      assertThat(move.route()).first().isEqualTo(host);
    }
    assertThat(move.route()).doesNotHaveDuplicates();
    for (int device = 0; device < move.sender(); device++) {
      boolean earlier =
          src.hostOf(device).equals(host)
              && reshard.src().tile(shape, device).equals(reshard.src().tile(shape, move.sender()));
      assertThat(earlier).as("device %d would have to send %s", device, move).isFalse();
    }
    Set<String> holders = new HashSet<>();
    for (int device = 0; device < src.size(); device++) {
      if (reshard.src().tile(shape, device).contains(move.box())) {
        holders.add(src.hostOf(device));
      }
    }
    Set<String> receiving = new HashSet<>();
    move.receivers().forEach(device -> receiving.add(dst.hostOf(device)));
    if (move.local()) {
      assertThat(receiving).containsExactly(host);
      assertThat(move.end()).isZero();
    } else {
      assertThat(receiving).doesNotContainAnyElementsOf(holders);
      assertThat(receiving).isEqualTo(new HashSet<>(move.route().subList(1, move.route().size())));
      assertThat(move.end()).isGreaterThan(move.start());
    }
    if (strategy == Strategy.SEND_RECV) {
      assertThat(move.receivers()).hasSize(1);
    }
    long bytes = move.box().volume() * reshard.tensor().dtype().bytes();
    assertThat(move.bytes()).isEqualTo(bytes);
    long chunk = plan.chosen().get(move.tensor()).chunkBytes();
    assertThat(move.chunkBytes()).isEqualTo(Math.min(bytes, chunk));
    assertThat(move.chunkBytes() % reshard.tensor().dtype().bytes()).isZero();
  }

  /**
   * But for messages to each device, a host receives each element that it lacks once, however many
   * devices.
   */
  private static void checkReceivedOnce(Plan plan) {
    Map<String, Long> needed = new HashMap<>();
    plan.request().hosts().forEach(host -> needed.put(host, 0L));
    for (TensorReshard reshard : plan.request().tensors()) {
      List<Long> shape = reshard.tensor().shape();
      for (String host : plan.request().hosts()) {
        Set<List<Long>> elements = new HashSet<>();
        for (int d = 0; d < reshard.dst().mesh().size(); d++) {
          if (reshard.dst().mesh().hostOf(d).equals(host)) {
            elements(reshard.dst().tile(shape, d), elements::add);
          }
        }
        for (int d = 0; d < reshard.src().mesh().size(); d++) {
          if (reshard.src().mesh().hostOf(d).equals(host)) {
            elements(reshard.src().tile(shape, d), elements::remove);
          }
        }
        needed.merge(host, (long) elements.size() * reshard.tensor().dtype().bytes(), Long::sum);
      }
    }
    assertThat(plan.bytesReceived()).containsExactlyInAnyOrderEntriesOf(needed);
  }

  private static void elements(Box box, Consumer<List<Long>> visit) {
    if (box.isEmpty()) {
      return;
    }
    Long[] at = new Long[box.rank()];
    for (int d = 0; d < at.length; d++) {
      at[d] = box.lo(d);
    }
    for (long n = box.volume(); n > 0; n--) {
      visit.accept(List.of(at));
      for (int d = at.length - 1; d >= 0; d--) {
        at[d]++;
        if (at[d] < box.hi(d)) {
          break;
        }
        at[d] = box.lo(d);
      }
    }
  }
}
