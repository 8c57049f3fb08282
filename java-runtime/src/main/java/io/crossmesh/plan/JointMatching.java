package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Chooses what starts at one instant when chains start as a whole: at most one piece from each
 * sender, and no host in two chains. First greedily, by the preference of {@link SlotMatching}.
 * Then, where a critical sender would idle, along augmenting paths on which lanes for the same
 * hosts change senders; they take no receiver from another lane.
 */
final class JointMatching {
  private final List<Start> starts;
  private final RelayRate relayRate;
  private final double chunkBytes;
  private final int hosts;
  private final @Nullable Start[] ofSender;
  private final @Nullable Start[] ofReceiver;

  JointMatching(int hosts, List<Start> starts, RelayRate relayRate, double chunkBytes) {
    this.relayRate = relayRate;
    this.chunkBytes = chunkBytes;
    this.hosts = hosts;
    this.starts = starts;
    ofSender = new @Nullable Start[hosts];
    ofReceiver = new @Nullable Start[hosts];
  }

  /** The starts that go, preferred ones first. */
  List<Start> choose() {
    takeGreedily();
    for (Start start : starts) {
      if (start.fromCritical() && ofSender[start.from()] == null) {
        serve(start.from(), new boolean[hosts]);
      }
    }
    List<Start> chosen = new ArrayList<>();
    for (Start start : starts) {
      if (start.equals(ofSender[start.from()])) {
        chosen.add(start);
      }
    }
    return chosen;
  }

  private void takeGreedily() {
    double started = 0;
    double relayed = 0;
    List<Start> left = starts;
    while (!left.isEmpty()) {
      Start best = Collections.min(left, preference(relayRate.ahead(started, relayed, chunkBytes)));
      take(best);
      started += best.lane().next();
      relayed += (double) best.lane().next() * (best.lane().receivers() - 1);
      left = left.stream().filter(this::isOpen).toList();
    }
  }

  private boolean isOpen(Start start) {
    return ofSender[start.from()] == null && holder(start) == Holder.NONE;
  }

  private Comparator<Start> preference(boolean ahead) {
    int sign = ahead ? 1 : -1;
    return Comparator.comparingInt((Start start) -> -start.critical())
        .thenComparingInt(start -> sign * start.lane().receivers())
        .thenComparingDouble(start -> -start.lane().behind())
        .thenComparingDouble(start -> -start.load())
        .thenComparingInt(start -> Math.floorMod(start.to() - start.from(), hosts))
        .thenComparingInt(
            start ->
                Math.floorMod(start.position() + start.lane().number(), start.lane().receivers()))
        .thenComparingInt(start -> start.lane().number());
  }

  /** Who has the receivers of a start. */
  private enum Holder {
    NONE,
    SAME_LANES,
    OTHERS
  }

  private Holder holder(Start start) {
    Start first = ofReceiver[start.to()];
    for (int host : start.lane().to()) {
      if (!Objects.equals(ofReceiver[host], first)) {
        return Holder.OTHERS;
      }
    }
    if (first == null) {
      return Holder.NONE;
    }
    return first.lane().to().equals(start.lane().to()) ? Holder.SAME_LANES : Holder.OTHERS;
  }

  private void take(Start start) {
    ofSender[start.from()] = start;
    start.lane().to().forEach(host -> ofReceiver[host] = start);
  }

  private boolean serve(int from, boolean[] seen) {
    for (Start start : starts) {
      if (start.from() != from || seen[start.to()] || holder(start) == Holder.OTHERS) {
        continue;
      }
      seen[start.to()] = true;
      Start other = ofReceiver[start.to()];
      if (other == null || serve(other.from(), seen)) {
        take(start);
        return true;
      }
    }
    return false;
  }
}
