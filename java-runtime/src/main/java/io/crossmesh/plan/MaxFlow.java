package io.crossmesh.plan;

import java.util.Arrays;

/**
 * Maximum flow by Dinic's algorithm: shortest augmenting paths in layers. Capacities are doubles;
 * what is left of an edge below a fixed fraction of the largest finite capacity counts as nothing.
 */
final class MaxFlow {
  private static final double NOTHING = 1e-13;

  private final int source;
  private final int sink;

  // Edges in pairs: edge e and its reverse e ^ 1; linked lists by node.
  private final int[] first;
  private int[] next = new int[16];
  private int[] to = new int[16];
  private double[] left = new double[16];
  private int edges;
  private double largest;

  private final int[] level;
  private final int[] at;

  MaxFlow(int nodes, int source, int sink) {
    this.source = source;
    this.sink = sink;
    first = new int[nodes];
    Arrays.fill(first, -1);
    level = new int[nodes];
    at = new int[nodes];
  }

  /** Adds an edge and returns its number. */
  int edge(int from, int to, double capacity) {
    link(from, to, capacity);
    link(to, from, 0);
    if (capacity < Double.POSITIVE_INFINITY) {
      largest = Math.max(largest, capacity);
    }
    return edges - 2;
  }

  /** What flows through an edge, once {@link #minimumCut} has run. */
  double flow(int edge) {
    return left[edge ^ 1];
  }

  private void link(int from, int target, double capacity) {
    if (edges == to.length) {
      next = Arrays.copyOf(next, 2 * edges);
      to = Arrays.copyOf(to, 2 * edges);
      left = Arrays.copyOf(left, 2 * edges);
    }
    to[edges] = target;
    left[edges] = capacity;
    next[edges] = first[from];
    first[from] = edges++;
  }

  /** Sends all that goes, and returns which nodes the source can still reach. */
  boolean[] minimumCut() {
    int[] path = new int[first.length];
    while (layer()) {
      System.arraycopy(first, 0, at, 0, first.length);
      augment(path);
    }
    boolean[] reached = new boolean[first.length];
    for (int node = 0; node < reached.length; node++) {
      reached[node] = level[node] >= 0;
    }
    return reached;
  }

  private boolean open(int edge) {
    return left[edge] > largest * NOTHING;
  }

  /** Numbers the nodes by their distance from the source; whether the sink is reached. */
  private boolean layer() {
    Arrays.fill(level, -1);
    int[] queue = new int[first.length];
    int head = 0;
    int tail = 0;
    queue[tail++] = source;
    level[source] = 0;
    while (head < tail) {
      int node = queue[head++];
      for (int e = first[node]; e >= 0; e = next[e]) {
        if (open(e) && level[to[e]] < 0) {
          level[to[e]] = level[node] + 1;
          queue[tail++] = to[e];
        }
      }
    }
    return level[sink] >= 0;
  }

  /** Fills the layered graph along one path after another; {@code path} holds their edges. */
  private void augment(int[] path) {
    int depth = 0;
    int node = source;
    while (true) {
      if (node == sink) {
        double amount = Double.POSITIVE_INFINITY;
        for (int i = 0; i < depth; i++) {
          amount = Math.min(amount, left[path[i]]);
        }
        int back = depth;
        for (int i = depth - 1; i >= 0; i--) {
          left[path[i]] -= amount;
          left[path[i] ^ 1] += amount;
          back = open(path[i]) ? back : i;
        }
        depth = back;
        node = to[path[depth] ^ 1];
        continue;
      }
      while (at[node] >= 0 && !(open(at[node]) && level[to[at[node]]] == level[node] + 1)) {
        at[node] = next[at[node]];
      }
      if (at[node] >= 0) {
        path[depth++] = at[node];
        node = to[at[node]];
      } else if (depth == 0) {
        return;
      } else {
        node = to[path[--depth] ^ 1];
        at[node] = next[at[node]];
      }
    }
  }
}
