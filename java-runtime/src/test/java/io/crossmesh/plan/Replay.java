package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.mesh.Box;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.PriorityQueue;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * Checks a plan from its moves and layouts alone, with nothing of the planner: who holds what, what
 * arrives where, how many bytes cross each NIC, and how long it takes when every host sends the
 * first chunk in the plan's order that it has and whose receiver is free, and stores a chunk before
 * it forwards it. Time is counted in whole bytes, so equal NICs without latency are replayed
 * exactly.
 */
final class Replay {
  private final Plan plan;

  /** One hop of one move. */
  private static final class Hop {
    final int number;
    final Move move;
    final String from;
    final String to;
    final boolean last;
    final PriorityQueue<Integer> queue;
    final List<Hop> whenWhole = new ArrayList<>();
    long present;
    long started;
    long landed;

    Hop(int number, Move move, int index, Map<Ends, PriorityQueue<Integer>> ready) {
      this.number = number;
      this.move = move;
      this.from = move.route().get(index);
      this.to = move.route().get(index + 1);
      this.last = index + 2 == move.route().size();
      this.queue = ready.computeIfAbsent(new Ends(from, to), ends -> new PriorityQueue<>());
      this.present = index == 0 ? move.chunks() : 0;
    }

    long next() {
      return Math.min(move.chunkBytes(), move.bytes() - started * move.chunkBytes());
    }
  }

  private record Landing(long at, int hop) {}

  private record Ends(String from, String to) {}

  private Replay(Plan plan) {
    this.plan = plan;
  }

  /** Checks holders, coverage and bytes, and returns the makespan in bytes of one NIC's time. */
  static long check(Plan plan) {
    return checkMoves(plan).makespan();
  }

  /** Checks holders, coverage and bytes. */
  static Replay checkMoves(Plan plan) {
    Replay replay = new Replay(plan);
    replay.checkHolders();
    replay.checkCoverage();
    replay.checkBytes();
    return replay;
  }

  private void checkHolders() {
    for (Move move : plan.moves()) {
      TensorReshard tensor = plan.request().tensors().get(move.tensor());
      Box tile = tensor.src().tile(tensor.tensor().shape(), move.sender());
      assertThat(tile.contains(move.box())).as("the sender of %s holds it", move).isTrue();
      String begins = move.route().getFirst();
      if (!begins.equals(tensor.src().mesh().hostOf(move.sender()))) {
        assertThat(sourceOf(move)).as("what brings %s", move).isNotNull();
      }
    }
  }

  /** The first move before one that forwards a slice which brings that slice to its first host. */
  private @Nullable Move sourceOf(Move forward) {
    for (Move move : plan.moves()) {
      if (move.equals(forward)) {
        return null;
      }
      if (move.tensor() == forward.tensor()
          && move.box().equals(forward.box())
          && move.sender() == forward.sender()
          && move.route().lastIndexOf(forward.route().getFirst()) > 0) {
        assertThat(move.chunkBytes()).isEqualTo(forward.chunkBytes());
        return move;
      }
    }
    return null;
  }

  /**
   * Boxes cover a tile exactly once if and only if their corners, with alternating signs, add up to
   * those of the tile: the signed corners are the mixed differences of what the boxes count.
   */
  private void checkCoverage() {
    for (int t = 0; t < plan.request().tensors().size(); t++) {
      TensorReshard tensor = plan.request().tensors().get(t);
      for (int device = 0; device < tensor.dst().mesh().size(); device++) {
        Map<List<Long>, Integer> corners = new HashMap<>();
        addCorners(corners, tensor.dst().tile(tensor.tensor().shape(), device), -1);
        for (Move move : plan.moves()) {
          if (move.tensor() == t && move.receivers().contains(device)) {
            assertThat(move.route()).contains(tensor.dst().mesh().hostOf(device));
            addCorners(corners, move.box(), 1);
          }
        }
        assertThat(corners.values()).as("device %d of tensor %d", device, t).containsOnly(0);
      }
    }
  }

  private static void addCorners(Map<List<Long>, Integer> corners, Box box, int sign) {
    for (int corner = 0; corner < 1 << box.rank(); corner++) {
      List<Long> at = new ArrayList<>();
      int parity = sign;
      for (int d = 0; d < box.rank(); d++) {
        boolean high = (corner >> d & 1) == 1;
        at.add(high ? box.hi(d) : box.lo(d));
        parity = high ? -parity : parity;
      }
      corners.merge(at, parity, Integer::sum);
    }
  }

  private void checkBytes() {
    Map<String, Long> sent = new TreeMap<>();
    Map<String, Long> received = new TreeMap<>();
    for (String host : plan.request().hosts()) {
      sent.put(host, 0L);
      received.put(host, 0L);
    }
    for (Move move : plan.moves()) {
      TensorReshard tensor = plan.request().tensors().get(move.tensor());
      long bytes = move.box().volume() * tensor.tensor().dtype().bytes();
      for (int i = 1; i < move.route().size(); i++) {
        sent.merge(move.route().get(i - 1), bytes, Long::sum);
        received.merge(move.route().get(i), bytes, Long::sum);
      }
    }
    assertThat(plan.bytesSent()).isEqualTo(sent);
    assertThat(plan.bytesReceived()).isEqualTo(received);
  }

  private long makespan() {
    List<Hop> hops = new ArrayList<>();
    Map<Ends, PriorityQueue<Integer>> ready = new HashMap<>();
    for (Move move : plan.moves()) {
      for (int i = 0; i + 1 < move.route().size(); i++) {
        Hop hop = new Hop(hops.size(), move, i, ready);
        hops.add(hop);
        Hop source = i == 0 ? hopThatBrings(move, hops) : null;
        if (source != null) {
          hop.present = 0;
          source.whenWhole.add(hop);
        } else if (hop.present > 0) {
          hop.queue.add(hop.number);
        }
      }
    }
    Map<String, Long> sendsUntil = new HashMap<>();
    Map<String, Long> receivesUntil = new HashMap<>();
    PriorityQueue<Landing> landings = new PriorityQueue<>(Comparator.comparingLong(Landing::at));
    TreeSet<Long> times = new TreeSet<>(List.of(0L));
    long end = 0;
    while (!times.isEmpty()) {
      long now = times.removeFirst();
      while (!landings.isEmpty() && landings.element().at <= now) {
        Hop hop = hops.get(landings.remove().hop);
        hop.landed++;
        if (hop.landed == hop.move.chunks()) {
          for (Hop forward : hop.whenWhole) {
            forward.present = forward.move.chunks();
            forward.queue.add(forward.number);
          }
        }
        if (!hop.last) {
          Hop next = hops.get(hop.number + 1);
          if (next.present++ == next.started) {
            next.queue.add(next.number);
          }
        }
      }
      for (int n = first(ready, sendsUntil, receivesUntil, now);
          n >= 0;
          n = first(ready, sendsUntil, receivesUntil, now)) {
        Hop hop = hops.get(n);
        long until = now + hop.next();
        hop.started++;
        if (hop.started == hop.present) {
          hop.queue.remove(n);
        }
        sendsUntil.put(hop.from, until);
        receivesUntil.put(hop.to, until);
        landings.add(new Landing(until, n));
        times.add(until);
        end = Math.max(end, until);
      }
    }
    assertThat(hops).allMatch(hop -> hop.started == hop.move.chunks());
    return end;
  }

  /**
   * The hop that brings a slice to the host that forwards it; null when its sender's host sends.
   */
  private @Nullable Hop hopThatBrings(Move move, List<Hop> hops) {
    TensorReshard tensor = plan.request().tensors().get(move.tensor());
    String begins = move.route().getFirst();
    if (begins.equals(tensor.src().mesh().hostOf(move.sender()))) {
      return null;
    }
    Move source = sourceOf(move);
    for (Hop hop : hops) {
      if (hop.move.equals(source) && hop.to.equals(begins)) {
        return hop;
      }
    }
    throw new AssertionError("nothing brings " + move);
  }

  /** The first hop in the plan's order with a chunk to send and both NICs free, or -1. */
  private static int first(
      Map<Ends, PriorityQueue<Integer>> ready,
      Map<String, Long> sendsUntil,
      Map<String, Long> receivesUntil,
      long now) {
    int first = -1;
    for (Map.Entry<Ends, PriorityQueue<Integer>> entry : ready.entrySet()) {
      Integer hop = entry.getValue().peek();
      if (hop != null
          && (first < 0 || hop < first)
          && sendsUntil.getOrDefault(entry.getKey().from, 0L) <= now
          && receivesUntil.getOrDefault(entry.getKey().to, 0L) <= now) {
        first = hop;
      }
    }
    return first;
  }
}
