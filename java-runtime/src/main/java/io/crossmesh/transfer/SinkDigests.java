package io.crossmesh.transfer;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Compares what has landed with the digests of what was staged, slice by slice, copies inside the
 * host too. Every byte of every tile is in one slice, so equal digests are equal tiles. What a
 * relay has landed is compared with what the first host staged, not with what the relay sent on.
 */
final class SinkDigests {
  private final Channel channel;
  private final HostPlan plan;
  private final Digests digests;
  private final SinkSteps steps;
  private final List<HostMove> landing = new ArrayList<>();
  private final BitSet roots = new BitSet();
  private final Map<Long, Comparison> comparisons = new HashMap<>();

  SinkDigests(Channel channel, HostPlan plan, Digests digests, SinkSteps steps) {
    this.channel = channel;
    this.plan = plan;
    this.digests = digests;
    this.steps = steps;
    landing.addAll(plan.incoming());
    landing.addAll(plan.locals());
    landing.forEach(move -> roots.set(plan.root(move.index())));
  }

  /** A source host says what it staged in a step that is known here. */
  void told(String host, SinkStep step, List<ControlCodec.Digest> told) {
    Comparison comparison = comparison(step);
    for (ControlCodec.Digest digest : told) {
      if (roots.get(digest.move()) && plan.originHost(digest.move()).equals(host)) {
        comparison.told.putIfAbsent(digest.move(), digest.digest());
      }
    }
    steps.whole(step);
  }

  private Comparison comparison(SinkStep step) {
    return comparisons.computeIfAbsent(step.step(), s -> new Comparison(step));
  }

  /** Whether a step that has landed is what was staged; begins to find out. */
  boolean verified(SinkStep step) {
    LandingSet set = step.set();
    if (landing.isEmpty() || set == null) {
      return landing.isEmpty();
    }
    Comparison comparison = comparison(step);
    if (comparison.begun) {
      return comparison.left == 0;
    }
    for (HostMove move : landing) {
      int root = plan.root(move.index());
      if (!comparison.told.containsKey(root)) {
        String silent = plan.originHost(root);
        if (channel.losses().has(silent)) {
          channel.recovery().giveUp(step.step(), channel.text().unverified(step.step(), silent));
        }
        return false;
      }
    }
    comparison.begun = true;
    comparison.left = landing.size();
    landing.forEach(move -> digests.add(comparison, move, move.target(), set.memory()));
    return false;
  }

  /** A step is over. */
  void forget(long step) {
    comparisons.remove(step);
  }

  private final class Comparison implements Digests.Wanted {
    private final SinkStep step;
    private final Map<Integer, Long> told = new HashMap<>();
    private boolean begun;
    private int left;

    Comparison(SinkStep step) {
      this.step = step;
    }

    @Override
    public boolean over() {
      return step.over();
    }

    @Override
    public void done(HostMove move, long digest) {
      @Nullable Long expected = told.get(plan.root(move.index()));
      if (expected == null || expected != digest) {
        channel
            .ends()
            .fail(
                step.step(),
                channel
                    .text()
                    .unlike(step.step(), plan.plan(), move.index(), plan.originHost(move.index())),
                true);
      } else if (--left == 0) {
        steps.whole(step);
      }
    }
  }
}
