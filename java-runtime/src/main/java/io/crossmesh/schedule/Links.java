package io.crossmesh.schedule;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Transfers that wait, in one queue for each boundary and direction, and what is occupied by those
 * that run. All transfers of a queue need the same links, so that only its head can be next; a
 * queue is looked at again when it was empty, or when something that it needs became free.
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

  Links(PipelineShape shape, Network network, int transfers) {
    int queues = 2 * shape.boundaries();
    needs = needs(shape, network);
    busy = new boolean[Arrays.stream(needs).flatMapToInt(Arrays::stream).max().orElse(NONE) + 1];
    queuesOfLink = invert(needs, busy.length);
    int[][] ends = new int[queues][];
    for (int q = 0; q < queues; q++) {
      ends[q] = new int[] {q / 2, (q / 2 + 1) % shape.stages()};
    }
    queuesOfStage = invert(ends, shape.stages());
    head = new int[queues];
    tail = new int[queues];
    Arrays.fill(head, NONE);
    Arrays.fill(tail, NONE);
    next = new int[transfers];
    posted = new long[transfers];
    marked = new boolean[queues];
    marks = new int[queues];
  }

  /** For each queue the links or NIC sides that a transfer occupies. */
  private static int[][] needs(PipelineShape shape, Network network) {
    int n = shape.stages();
    Map<String, Integer> nics = new LinkedHashMap<>();
    network.hosts().forEach(host -> nics.putIfAbsent(host, nics.size()));
    int[][] needs = new int[2 * shape.boundaries()][];
    for (int q = 0; q < needs.length; q++) {
      int lower = q / 2;
      int upper = (lower + 1) % n;
      int from = q % 2 == 0 ? lower : upper;
      int to = q % 2 == 0 ? upper : lower;
      if (nics.isEmpty()) {
        // With two stages the way back runs over the link of the one boundary.
        int link = n == 2 ? 0 : lower;
        int direction = n == 2 ? from : q % 2;
        needs[q] = new int[] {network.halfDuplex() ? link : 2 * link + direction};
      } else {
        int sender = nics.getOrDefault(network.hosts().get(from), NONE);
        int receiver = nics.getOrDefault(network.hosts().get(to), NONE);
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

  /** The queues to look at, the one whose head was posted first in front; none is marked then. */
  int[] takeMarked() {
    int[] taken = Arrays.copyOf(marks, markCount);
    for (int i = 0; i < markCount; i++) {
      int queue = taken[i];
      marked[queue] = false;
      int at = i;
      while (at > 0 && earlier(queue, taken[at - 1])) {
        taken[at] = taken[at - 1];
        at--;
      }
      taken[at] = queue;
    }
    markCount = 0;
    return taken;
  }

  private boolean earlier(int one, int two) {
    long difference = posted[head[one]] - posted[head[two]];
    return difference < 0 || (difference == 0 && one < two);
  }
}
