package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Chooses what starts at one instant: at most one piece from each sender and to each receiver.
 * First greedily, by preference; then, where a critical NIC would stay idle though an exchange of
 * partners could serve it, along augmenting paths (Kuhn, "The Hungarian method", 1955). An
 * augmenting path frees no NIC that is served, so neither side loses what it has.
 */
final class SlotMatching {
  private final List<Start> starts;
  private final RelayRate relayRate;
  private final double chunkBytes;
  private final int hosts;

  /** The start chosen for each sending and for each receiving host. */
  private final @Nullable Start[] ofSender;

  private final @Nullable Start[] ofReceiver;

  SlotMatching(int hosts, List<Start> starts, RelayRate relayRate, double chunkBytes) {
    this.hosts = hosts;
    this.starts = starts;
    this.relayRate = relayRate;
    this.chunkBytes = chunkBytes;
    ofSender = new @Nullable Start[hosts];
    ofReceiver = new @Nullable Start[hosts];
  }

  /** The starts that go, preferred ones first. */
  List<Start> choose() {
    starts.sort(takeGreedily());
    for (Start start : starts) {
      if (start.fromCritical() && ofSender[start.from()] == null) {
        serveSender(start.from(), new boolean[hosts]);
      }
    }
    for (Start start : starts) {
      if (start.toCritical() && ofReceiver[start.to()] == null) {
        serveReceiver(start.to(), new boolean[hosts]);
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

  /** Takes the best start that is left until none is, and returns the preference at the end. */
  private Comparator<Start> takeGreedily() {
    double started = 0;
    double relayed = 0;
    while (true) {
      Comparator<Start> preference = preference(relayRate.ahead(started, relayed, chunkBytes));
      Start best = null;
      for (Start start : starts) {
        if (ofSender[start.from()] == null
            && ofReceiver[start.to()] == null
            && (best == null || preference.compare(start, best) < 0)) {
          best = start;
        }
      }
      if (best == null) {
        return preference;
      }
      take(best);
      started += best.lane().next();
      relayed += (double) best.lane().next() * (best.lane().to().size() - 1);
    }
  }

  /**
   * Critical NICs first, then what keeps the rate of relays, then the lane that is most behind,
   * then the receiver with the most to get; the rest makes neighbours take turns.
   */
  private Comparator<Start> preference(boolean ahead) {
    int sign = ahead ? 1 : -1;
    return Comparator.comparingInt((Start start) -> -start.critical())
        .thenComparingInt(start -> sign * start.lane().to().size())
        .thenComparingDouble(start -> -start.lane().behind())
        .thenComparingDouble(start -> -start.load())
        .thenComparingInt(start -> Math.floorMod(start.to() - start.from(), hosts))
        .thenComparingInt(
            start ->
                Math.floorMod(start.position() + start.lane().number(), start.lane().to().size()));
  }

  private void take(Start start) {
    ofSender[start.from()] = start;
    ofReceiver[start.to()] = start;
  }

  private boolean serveSender(int from, boolean[] seen) {
    for (Start start : starts) {
      if (start.from() == from && !seen[start.to()]) {
        seen[start.to()] = true;
        Start other = ofReceiver[start.to()];
        if (other == null || serveSender(other.from(), seen)) {
          take(start);
          return true;
        }
      }
    }
    return false;
  }

  private boolean serveReceiver(int to, boolean[] seen) {
    for (Start start : starts) {
      if (start.to() == to && !seen[start.from()]) {
        seen[start.from()] = true;
        Start other = ofSender[start.from()];
        if (other == null || serveReceiver(other.to(), seen)) {
          take(start);
          return true;
        }
      }
    }
    return false;
  }
}
