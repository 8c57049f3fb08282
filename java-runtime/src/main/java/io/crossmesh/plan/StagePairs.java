package io.crossmesh.plan;

import java.util.Arrays;

/**
 * The pairs of hosts that are neighbours on some trip, numbered so that those of one sending host
 * follow each other.
 */
final class StagePairs {
  /** The pair of each stage. */
  private final int[] ofStage;

  private final int[] from;
  private final int[] to;

  private StagePairs(int[] ofStage, int[] from, int[] to) {
    this.ofStage = ofStage;
    this.from = from;
    this.to = to;
  }

  /** In time linear in stages and hosts: stages are put in order by the host that they leave. */
  static StagePairs of(Trips trips, int hosts) {
    int stages = trips.stages();
    int[] begin = new int[hosts + 1];
    for (int stage = 0; stage < stages; stage++) {
      begin[trips.from(stage) + 1]++;
    }
    Arrays.parallelPrefix(begin, Integer::sum);
    int[] sorted = new int[stages];
    int[] end = begin.clone();
    for (int stage = 0; stage < stages; stage++) {
      sorted[end[trips.from(stage)]++] = stage;
    }
    int[] ofStage = new int[stages];
    int[] from = new int[stages];
    int[] to = new int[stages];
    int[] known = new int[hosts];
    Arrays.fill(known, -1);
    int count = 0;
    for (int host = 0; host < hosts; host++) {
      int firstPair = count;
      for (int i = begin[host]; i < begin[host + 1]; i++) {
        int reached = trips.to(sorted[i]);
        if (known[reached] < firstPair) {
          from[count] = host;
          to[count] = reached;
          known[reached] = count++;
        }
        ofStage[sorted[i]] = known[reached];
      }
    }
    return new StagePairs(ofStage, Arrays.copyOf(from, count), Arrays.copyOf(to, count));
  }

  int count() {
    return from.length;
  }

  /** The pair between whose hosts a stage is. */
  int ofStage(int stage) {
    return ofStage[stage];
  }

  /** The host that sends. */
  int from(int pair) {
    return from[pair];
  }

  /** The host that receives. */
  int to(int pair) {
    return to[pair];
  }
}
