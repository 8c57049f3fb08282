package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToIntFunction;
import org.jspecify.annotations.Nullable;

/**
 * Chooses what starts at one instant: at most one piece from each sender and to each receiver.
 * First greedily, by preference; then, where a critical NIC would stay idle though an exchange of
 * partners could serve it, along augmenting paths (Kuhn, "The Hungarian method", 1955). An
 * augmenting path frees no NIC that is served, so neither side loses what it has; and a NIC that no
 * path serves is served by none after other exchanges, so each is tried once.
 */
final class SlotMatching {
  private final List<Start> starts;
  private final RelayRate relayRate;
  private final double chunkBytes;
  private final int hosts;
  private final @Nullable List<Start>[] bySender;

  /**
   * The best start of each sender while relays are not ahead, and while they are. One whose
   * receiver is still free is still the best: those that are left only become fewer.
   */
  private final @Nullable Start[][] bestOf;

  /** The start chosen for each sending and for each receiving host. */
  private final @Nullable Start[] ofSender;

  private final @Nullable Start[] ofReceiver;

  SlotMatching(int hosts, List<Start> starts, RelayRate relayRate, double chunkBytes) {
    this.hosts = hosts;
    this.starts = starts;
    this.relayRate = relayRate;
    this.chunkBytes = chunkBytes;
    bySender = by(starts, Start::from);
    bestOf = new @Nullable Start[2][hosts];
    ofSender = new @Nullable Start[hosts];
    ofReceiver = new @Nullable Start[hosts];
  }

  /** The starts that go, preferred ones first. */
  List<Start> choose() {
    boolean ahead = takeGreedily();
    serveCritical(ahead);
    List<Start> chosen = new ArrayList<>();
    for (Start start : ofSender) {
      if (start != null) {
        chosen.add(start);
      }
    }
    chosen.sort(preference(ahead));
    return chosen;
  }

  /** Takes the best start that is left until none is; whether relays are ahead at the end. */
  private boolean takeGreedily() {
    double started = 0;
    double relayed = 0;
    while (true) {
      boolean ahead = relayRate.ahead(started, relayed, chunkBytes);
      Start best = best(ahead);
      if (best == null) {
        return ahead;
      }
      take(best);
      started += best.lane().next();
      relayed += (double) best.lane().next() * (best.lane().receivers() - 1);
    }
  }

  private @Nullable Start best(boolean ahead) {
    Comparator<Start> preference = preference(ahead);
    Start best = null;
    for (int host = 0; host < hosts; host++) {
      if (ofSender[host] == null && bySender[host] != null) {
        Start start = best(host, bestOf[ahead ? 1 : 0], preference);
        if (start != null && (best == null || preference.compare(start, best) < 0)) {
          best = start;
        }
      }
    }
    return best;
  }

  private @Nullable Start best(int host, @Nullable Start[] known, Comparator<Start> preference) {
    Start best = known[host];
    if (best != null && ofReceiver[best.to()] == null) {
      return best;
    }
    best = null;
    for (Start start : at(bySender, host)) {
      if (ofReceiver[start.to()] == null && (best == null || preference.compare(start, best) < 0)) {
        best = start;
      }
    }
    known[host] = best;
    if (best == null) {
      bySender[host] = null;
    }
    return best;
  }

  private Comparator<Start> preference(boolean ahead) {
    int sign = ahead ? 1 : -1;
    return (x, y) -> compare(x, y, sign);
  }

  /**
   * Critical NICs first, then what keeps the rate of relays, then the lane that is most behind,
   * then the receiver with the most to get; the rest makes neighbours take turns.
   */
  private int compare(Start x, Start y, int sign) {
    int by = Integer.compare(y.critical(), x.critical());
    if (by == 0) {
      by = Integer.compare(sign * x.lane().receivers(), sign * y.lane().receivers());
    }
    if (by == 0) {
      by = Double.compare(y.lane().behind(), x.lane().behind());
    }
    if (by == 0) {
      by = Double.compare(y.load(), x.load());
    }
    if (by == 0) {
      by = Integer.compare(distance(x), distance(y));
    }
    if (by == 0) {
      by = Integer.compare(turn(x), turn(y));
    }
    if (by == 0) {
      by = Integer.compare(x.lane().number(), y.lane().number());
    }
    return by;
  }

  private int distance(Start start) {
    return Math.floorMod(start.to() - start.from(), hosts);
  }

  private static int turn(Start start) {
    return Math.floorMod(start.position() + start.lane().number(), start.lane().receivers());
  }

  private void take(Start start) {
    ofSender[start.from()] = start;
    ofReceiver[start.to()] = start;
  }

  private void serveCritical(boolean ahead) {
    boolean idle = false;
    for (Start start : starts) {
      idle |= start.fromCritical() && ofSender[start.from()] == null;
      idle |= start.toCritical() && ofReceiver[start.to()] == null;
    }
    if (!idle) {
      return;
    }
    List<Start> sorted = new ArrayList<>(starts);
    sorted.sort(preference(ahead));
    @Nullable List<Start>[] ofEachSender = by(sorted, Start::from);
    @Nullable List<Start>[] ofEachReceiver = by(sorted, Start::to);
    boolean[] tried = new boolean[hosts];
    for (Start start : sorted) {
      if (start.fromCritical() && ofSender[start.from()] == null && !tried[start.from()]) {
        tried[start.from()] = true;
        serveSender(ofEachSender, start.from(), new boolean[hosts]);
      }
    }
    tried = new boolean[hosts];
    for (Start start : sorted) {
      if (start.toCritical() && ofReceiver[start.to()] == null && !tried[start.to()]) {
        tried[start.to()] = true;
        serveReceiver(ofEachReceiver, start.to(), new boolean[hosts]);
      }
    }
  }

  private boolean serveSender(@Nullable List<Start>[] sorted, int from, boolean[] seen) {
    for (Start start : at(sorted, from)) {
      if (!seen[start.to()]) {
        seen[start.to()] = true;
        Start other = ofReceiver[start.to()];
        if (other == null || serveSender(sorted, other.from(), seen)) {
          take(start);
          return true;
        }
      }
    }
    return false;
  }

  private boolean serveReceiver(@Nullable List<Start>[] sorted, int to, boolean[] seen) {
    for (Start start : at(sorted, to)) {
      if (!seen[start.from()]) {
        seen[start.from()] = true;
        Start other = ofSender[start.from()];
        if (other == null || serveReceiver(sorted, other.to(), seen)) {
          take(start);
          return true;
        }
      }
    }
    return false;
  }

  private static List<Start> at(@Nullable List<Start>[] lists, int host) {
    List<Start> list = lists[host];
    return list == null ? List.of() : list;
  }

  private @Nullable List<Start>[] by(List<Start> all, ToIntFunction<Start> host) {
    @Nullable List<Start>[] lists = newLists(hosts);
    for (Start start : all) {
      int at = host.applyAsInt(start);
      List<Start> list = lists[at];
      if (list == null) {
        list = new ArrayList<>();
        lists[at] = list;
      }
      list.add(start);
    }
    return lists;
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static @Nullable List<Start>[] newLists(int count) {
    return new List[count];
  }
}
