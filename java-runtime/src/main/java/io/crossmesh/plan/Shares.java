package io.crossmesh.plan;

import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * How the bytes that leave each set of holders are divided among them so that the busiest NIC is
 * done as early as any division allows: a maximum flow from the sets through their hosts, each host
 * letting through what its NIC can send in that time.
 *
 * <p>Where classes of bytes are needed one after another, each with all before it is done as early
 * as it can be without making those before it, or all together, later. The flow then has a layer of
 * hosts for each class, through which that class and those before it flow: it lets through what
 * their NICs can send by the time of the class.
 */
final class Shares {
  /** Steps by which the time of a class is found where its own bound is too early. */
  private static final int HALVINGS = 16;

  /** A flow that lacks less than this ratio is whole. */
  private static final double WHOLE = 1 - 1e-9;

  private final List<Map<List<Integer>, double[]>> byClass;

  private Shares(List<Map<List<Integer>, double[]>> byClass) {
    this.byClass = byClass;
  }

  /**
   * The division of the bytes that each set of hosts, in any order, has to send, by class, the most
   * urgent first.
   */
  static Shares of(List<Map<List<Integer>, Long>> demands, Network network) {
    Map<List<Integer>, Long> all = new HashMap<>();
    double[] own = new double[demands.size()];
    for (int k = 0; k < own.length; k++) {
      demands.get(k).forEach((set, bytes) -> all.merge(set, bytes, Long::sum));
      own[k] = LowerBound.egress(all, network);
    }
    double[] seconds = new double[own.length];
    Arrays.fill(seconds, own[own.length - 1]);
    LayeredFlow flow = LayeredFlow.of(demands, seconds, network);
    for (int k = 0; k + 1 < seconds.length; k++) {
      double late = seconds[k];
      double early = Math.max(own[k], k > 0 ? seconds[k - 1] : 0);
      for (int step = 0; step < HALVINGS && early < late; step++) {
        seconds[k] = step == 0 ? early : (early + late) / 2;
        LayeredFlow tried = LayeredFlow.of(demands, seconds, network);
        if (tried.filled() >= WHOLE) {
          flow = tried;
          late = seconds[k];
        } else {
          early = seconds[k];
        }
      }
      seconds[k] = late;
    }
    return new Shares(flow.shares());
  }

  /** The fraction that each of the hosts sends of what all of them hold of a class. */
  double[] of(int urgency, List<Integer> holders) {
    double[] shares = byClass.get(urgency).get(holders);
    if (shares == null) {
      throw new IllegalArgumentException("no bytes leave the hosts " + holders);
    }
    return shares;
  }
}
