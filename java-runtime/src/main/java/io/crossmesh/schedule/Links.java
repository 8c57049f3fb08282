package io.crossmesh.schedule;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Transfers that wait, in one queue for each boundary or skip and direction, and what is occupied
 * by those that run. All transfers of a queue need the same links, so that only its head can be
 * next; a queue is looked at again when it was empty, or when something that it needs became free.
 */
final class Links {
  private static final int NONE = -1;

  private final int[][] needs;
  private final int[][] queuesOfLink;
  private final int[][] queuesOfStage;
  private final boolean[] busy;
  private final int[] head;
  private final int[] tail;
  private final int[] next;
  private final long[] posted;
  private final boolean[] marked;
  private final int[] marks;
  private int markCount;

  Links(PipelineShape shape, Network network, Transfers transfers) {
    int queues = transfers.queues();
    needs = needs(network, transfers);
    busy = new boolean[Arrays.stream(needs).flatMapToInt(Arrays::stream).max().orElse(NONE) + 1];
    queuesOfLink = invert(needs, busy.length);
    int[][] ends = new int[queues][];
    for (int q = 0; q < queues; q++) {
      ends[q] = new int[] {transfers.sender(q), transfers.receiver(q)};
    }
    queuesOfStage = invert(ends, shape.stages());
    head = new int[queues];
    tail = new int[queues];
    Arrays.fill(head, NONE);
    Arrays.fill(tail, NONE);
    next = new int[transfers.count()];
    posted = new long[transfers.count()];
    marked = new boolean[queues];
    marks = new int[queues];
  }

  /** For each queue the links or NIC sides that a transfer occupies. */
  private static int[][] needs(Network network, Transfers transfers) {
    Map<Object, Integer> numbers = new HashMap<>();
    int[][] needs = new int[transfers.queues()][];
    for (int q = 0; q < needs.length; q++) {
      int from = transfers.sender(q);
      int to = transfers.receiver(q);
      if (network.hosts().isEmpty()) {
        // Two stages have one link, whatever goes over it: a boundary, the way back, a skip.
        List<Integer> pair = List.of(Math.min(from, to), Math.max(from, to));
        int link = numbers.computeIfAbsent(pair, key -> numbers.size());
        int side = network.halfDuplex() ? link : 2 * link + (from < to ? 0 : 1);
        needs[q] = from == to ? new int[0] : new int[] {side};
      } else {
        String one = network.hosts().get(from);
        String other = network.hosts().get(to);
        int sender = numbers.computeIfAbsent(one, key -> numbers.size());
        int receiver = numbers.computeIfAbsent(other, key -> numbers.size());
        needs[q] =
            sender == receiver
                ? new int[0]
                : network.halfDuplex()
                    ? new int[] {sender, receiver}
                    : new int[] {2 * sender, 2 * receiver + 1};
      }
    }
    return needs;
  }

  private static int[][] invert(int[][] sets, int size) {
    List<List<Integer>> inverse = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      inverse.add(new ArrayList<>());
    }
    for (int s = 0; s < sets.length; s++) {
      for (int member : sets[s]) {
        inverse.get(member).add(s);
      }
    }
    return inverse.stream()
        .map(list -> list.stream().mapToInt(Integer::intValue).toArray())
        .toArray(int[][]::new);
  }

  void post(int queue, int transfer, long now) {
    next[transfer] = NONE;
    posted[transfer] = now;
    if (head[queue] == NONE) {
      head[queue] = transfer;
      mark(queue);
    } else {
      next[tail[queue]] = transfer;
    }
    tail[queue] = transfer;
  }

  int head(int queue) {
    return head[queue];
  }

  boolean free(int queue) {
    for (int link : needs[queue]) {
      if (busy[link]) {
        return false;
      }
    }
    return true;
  }

  void take(int queue) {
    head[queue] = next[head[queue]];
  }

  void occupy(int queue) {
    for (int link : needs[queue]) {
      busy[link] = true;
    }
  }

  void release(int queue) {
    for (int link : needs[queue]) {
      busy[link] = false;
      for (int waiting : queuesOfLink[link]) {
        mark(waiting);
      }
    }
  }

  /** A stage may have become ready for a transfer. */
  void markStage(int stage) {
    for (int queue : queuesOfStage[stage]) {
      mark(queue);
    }
  }

  private void mark(int queue) {
    if (!marked[queue] && head[queue] != NONE) {
      marked[queue] = true;
      marks[markCount++] = queue;
    }
  }

  boolean hasMarked() {
    return markCount > 0;
  }

  /**
   * The queues to look at, the one whose head was posted first in front; none is marked then. One
   * that was emptied after it had been marked, as by transfers that take no time, is left out.
   */
  int[] takeMarked() {
    int[] taken = new int[markCount];
    int count = 0;
    for (int i = 0; i < markCount; i++) {
      int queue = marks[i];
      marked[queue] = false;
      if (head[queue] == NONE) {
        continue;
      }
      int at = count++;
      while (at > 0 && earlier(queue, taken[at - 1])) {
        taken[at] = taken[at - 1];
        at--;
      }
      taken[at] = queue;
    }
    markCount = 0;
    return count == taken.length ? taken : Arrays.copyOf(taken, count);
  }

  private boolean earlier(int one, int two) {
    long difference = posted[head[one]] - posted[head[two]];
    return difference < 0 || (difference == 0 && one < two);
  }
}
