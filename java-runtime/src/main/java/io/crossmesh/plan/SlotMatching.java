package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.List;
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

  /** The starts by preference while relays are not ahead, and while they are. */
  private final @Nullable List<Start>[] preferred = newLists(2);

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
    List<Start> sorted = takeGreedily();
    serveCritical(sorted);
    List<Start> chosen = new ArrayList<>();
    for (Start start : sorted) {
      if (start.equals(ofSender[start.from()])) {
        chosen.add(start);
      }
    }
    return chosen;
  }

  /** Takes the best start that is left until none is, and returns all by preference at the end. */
  private List<Start> takeGreedily() {
    double started = 0;
    double relayed = 0;
    int[] at = new int[2];
    while (true) {
      int ahead = relayRate.ahead(started, relayed, chunkBytes) ? 1 : 0;
      List<Start> sorted = preferred(ahead);
      while (at[ahead] < sorted.size() && !isOpen(sorted.get(at[ahead]))) {
        at[ahead]++;
      }
      if (at[ahead] == sorted.size()) {
        return sorted;
      }
      Start best = sorted.get(at[ahead]);
      take(best);
      started += best.lane().next();
      relayed += (double) best.lane().next() * (best.lane().receivers() - 1);
    }
  }

  private List<Start> preferred(int ahead) {
    List<Start> sorted = preferred[ahead];
    if (sorted == null) {
      sorted = new ArrayList<>(starts);
      int sign = ahead == 1 ? 1 : -1;
      sorted.sort((x, y) -> compare(x, y, sign));
      preferred[ahead] = sorted;
    }
    return sorted;
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

  private boolean isOpen(Start start) {
    return ofSender[start.from()] == null && ofReceiver[start.to()] == null;
  }

  private void take(Start start) {
    ofSender[start.from()] = start;
    ofReceiver[start.to()] = start;
  }

  private void serveCritical(List<Start> sorted) {
    boolean idle = false;
    for (Start start : sorted) {
      idle |= start.fromCritical() && ofSender[start.from()] == null;
      idle |= start.toCritical() && ofReceiver[start.to()] == null;
    }
    if (!idle) {
      return;
    }
    @Nullable List<Start>[] bySender = newLists(hosts);
    @Nullable List<Start>[] byReceiver = newLists(hosts);
    for (Start start : sorted) {
      add(bySender, start.from(), start);
      add(byReceiver, start.to(), start);
    }
    boolean[] tried = new boolean[hosts];
    for (Start start : sorted) {
      if (start.fromCritical() && ofSender[start.from()] == null && !tried[start.from()]) {
        tried[start.from()] = true;
        serveSender(bySender, start.from(), new boolean[hosts]);
      }
    }
    tried = new boolean[hosts];
    for (Start start : sorted) {
      if (start.toCritical() && ofReceiver[start.to()] == null && !tried[start.to()]) {
        tried[start.to()] = true;
        serveReceiver(byReceiver, start.to(), new boolean[hosts]);
      }
    }
  }

  private boolean serveSender(@Nullable List<Start>[] bySender, int from, boolean[] seen) {
    for (Start start : at(bySender, from)) {
      if (!seen[start.to()]) {
        seen[start.to()] = true;
        Start other = ofReceiver[start.to()];
        if (other == null || serveSender(bySender, other.from(), seen)) {
          take(start);
          return true;
        }
      }
    }
    return false;
  }

  private boolean serveReceiver(@Nullable List<Start>[] byReceiver, int to, boolean[] seen) {
    for (Start start : at(byReceiver, to)) {
      if (!seen[start.from()]) {
        seen[start.from()] = true;
        Start other = ofSender[start.from()];
        if (other == null || serveReceiver(byReceiver, other.to(), seen)) {
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

  private static void add(@Nullable List<Start>[] lists, int host, Start start) {
    List<Start> list = lists[host];
    if (list == null) {
      list = new ArrayList<>();
      lists[host] = list;
    }
    list.add(start);
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private static @Nullable List<Start>[] newLists(int count) {
    return new List[count];
  }
}
