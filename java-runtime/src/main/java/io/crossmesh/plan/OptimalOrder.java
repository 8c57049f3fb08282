package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * {@link Order#OPTIMAL}: senders, pieces, chains and their order so that the plan ends at the lower
 * bound, or as near as whole chunks allow.
 *
 * <p>Why the bound can be reached. Slices may be cut anywhere, so a slice held by several hosts may
 * leave from all of them; how much from each is a maximum flow ({@link Shares}), and with it no NIC
 * sends longer than the bound {@code T}. A chain gives each receiving host its slice once, so no
 * NIC receives longer than {@code T}; and of equal NICs a relay sends no longer than it receives.
 * What is left is an open shop: each piece occupies one sending and one receiving NIC at a time, in
 * any order, and may be interrupted. With preemption an open shop ends exactly when its busiest
 * machine does, if at each moment every machine that has no time left to idle is served (Gonzalez
 * and Sahni, "Open shop scheduling to minimize finish time", J. ACM 23, 1976); by the theorem of
 * Birkhoff and von Neumann a matching that serves all those exists. Cutting slices into pieces is
 * preemption.
 *
 * <p>How it is reached. {@link Interleaver} runs the pieces over the network. Whenever NICs fall
 * free, {@link SlotMatching} starts pieces so that critical NICs are served first; among those, the
 * lane that is most behind goes, as if each had a constant rate, which is the schedule that the
 * fluid limit asks for. The first host of a chain is chosen at that moment and the others follow in
 * turn, so that chains over the same hosts rotate and relays share the load. The order of starts is
 * the order of the moves: the plain rule "first in the plan whose NICs are free" then runs the same
 * schedule again, and the engine needs to know nothing of all this.
 *
 * <p>What is lost: the last chunk still has to walk down its chain, {@code hops - 1} chunks in all;
 * pieces end unevenly by less than one piece; and a relay may take a receiver at the wrong moment
 * ({@link RelayRate} keeps that rare). All shrink with the pieces. So pieces are made only as small
 * as needed: from whole slices down to 1/512 of what the busiest NIC carries, but not below one
 * chunk, until the predicted end is within {@value #NEAR} of the bound; else the best is taken. One
 * layout in a hundred is then still more than {@value #ENOUGH} above it, mostly because a relay
 * finds its receiver taken: these are tried in each other {@link Manner}.
 */
final class OptimalOrder {
  /** Pieces of the busiest NIC, tried in turn. */
  private static final int[] PIECES = {1, 8, 32, 128, 256, 512};

  /** Nearer to the bound than this ratio, smaller pieces are not tried. */
  private static final double NEAR = 0.0025;

  /** Nearer to the bound than this ratio, no other manner is tried. */
  private static final double ENOUGH = 0.005;

  /** Where limits are shared, weights of the nearest holders that are tried. */
  private static final double[] NEAR_PARTS = {0, 0.25, 0.5, 0.75, 1};

  /** Slices are not cut into more pieces than this in all. */
  private static final int MAX_PIECES = Bundles.MAX_PIECES;

  /** Beyond this number of pieces, only the usual manner is tried. */
  private static final int MAX_PIECES_AGAIN = 1 << 12;

  private final List<Chosen> chosen;
  private final Network network;
  private final Work work;
  private final Urgency urgency;
  private final double lowerBound;
  private Outcome best = Outcome.NONE;

  /** What the nearest holders have to send more, in the best. */
  private double nearPart;

  private OptimalOrder(
      Work work, List<Chosen> chosen, Network network, Urgency urgency, double lowerBound) {
    this.work = work;
    this.chosen = chosen;
    this.network = network;
    this.urgency = urgency;
    this.lowerBound = lowerBound;
  }

  /** The moves of all cells with their predicted times, in the order in which they should start. */
  static List<Move> moves(
      PlanRequest request,
      List<Cell> cells,
      List<Chosen> chosen,
      Network network,
      double lowerBound) {
    Urgency urgency = new Urgency(request.tensors());
    Work work = Work.of(cells, chosen, network);
    OptimalOrder order = new OptimalOrder(work, chosen, network, urgency, lowerBound);
    order.tryManners();
    if (urgency.classes() > 1) {
      order.tryUrgent(cells);
    }
    return order.best.moves();
  }

  private void tryManners() {
    for (double part : network.groups() > 0 ? NEAR_PARTS : new double[] {0}) {
      double end = best.end();
      tryManners(new Senders(work.deliveries(), 1, delivery -> 0, network, part));
      nearPart = best.end() < end ? part : nearPart;
    }
  }

  private void tryManners(Senders senders) {
    double enough = lowerBound * (1 + ENOUGH) + latency();
    for (Manner manner : Manner.ALL) {
      if (best.end() <= enough || (!manner.equals(Manner.USUAL) && !isOpen())) {
        break;
      }
      int count = -1;
      for (int pieces : PIECES) {
        List<Piece> cut = cut(work.deliveries(), senders, lowerBound / pieces);
        if (cut.size() == count) {
          continue;
        }
        if (cut.size() > (manner.equals(Manner.USUAL) ? most() : MAX_PIECES_AGAIN)) {
          break;
        }
        count = cut.size();
        Outcome outcome = outcome(cut, manner);
        best = outcome.end() < best.end() ? outcome : best;
        if (best.end() <= lowerBound * (1 + NEAR) || count >= MAX_PIECES) {
          break;
        }
      }
    }
  }

  /**
   * Tries to bring early what is needed early. A plan that ends later than the best that ignores
   * deadlines is not taken, nor one by which any deadline is missed by more.
   */
  private void tryUrgent(List<Cell> cells) {
    List<Delivery> sorted = new ArrayList<>(work.deliveries());
    sorted.sort(Comparator.comparingDouble(delivery -> urgency.due(delivery.cell())));
    List<Double> bounds = new ArrayList<>();
    for (int k = 0; k < urgency.classes(); k++) {
      int last = k;
      List<Cell> until = cells.stream().filter(cell -> urgency.classOf(cell) <= last).toList();
      bounds.add(LowerBound.of(until, network));
    }
    Senders senders =
        new Senders(sorted, urgency.classes(), d -> urgency.classOf(d.cell()), network, nearPart);
    double latest = best.end() * (1 + Outcome.EQUAL);
    for (Manner manner : Manner.URGENT) {
      int count = -1;
      for (int pieces : PIECES) {
        List<Piece> cut = cut(sorted, senders, lowerBound / pieces);
        if (cut.size() == count) {
          continue;
        }
        if (count >= 0 && cut.size() > MAX_PIECES_AGAIN) {
          break;
        }
        count = cut.size();
        considerUrgent(outcome(cut, manner), latest);
        if (cut.size() > MAX_PIECES || best.reaches(bounds, ENOUGH, latency())) {
          return;
        }
      }
    }
  }

  private void considerUrgent(Outcome outcome, double latest) {
    if (outcome.end() <= latest && outcome.servesBetterThan(best)) {
      best = outcome;
    }
  }

  private Outcome outcome(List<Piece> pieces, Manner manner) {
    List<Route> routes = new ArrayList<>(work.copies());
    routes.addAll(Bundles.order(pieces, smallestChunk(), network, manner));
    return urgency.outcome(Timeline.predict(routes, chosen, network));
  }

  /** Pieces of one slice alone have no other order, and of very many none is looked for. */
  private boolean isOpen() {
    int slices = work.deliveries().size();
    return slices > 1 && slices <= MAX_PIECES_AGAIN;
  }

  /** Most pieces: whole slices are not refused however many they are. */
  private int most() {
    return Math.max(MAX_PIECES, work.deliveries().size());
  }

  /** Seconds that the longest chain takes whatever its order. */
  private double latency() {
    double most = 0;
    for (Delivery delivery : work.deliveries()) {
      double slowest = 0;
      for (int host : delivery.hosts()) {
        slowest = Math.max(slowest, network.latency(host));
      }
      most = Math.max(most, slowest * delivery.hosts().size());
    }
    return most;
  }

  private double smallestChunk() {
    return chosen.stream().mapToLong(Chosen::chunkBytes).min().orElse(Chosen.MIN_CHUNK_BYTES);
  }

  /** Deals bytes out to holders by their parts of all. */
  private static final class Dealer {
    private final double[] share;

    /** What each would have to get more. */
    private final double[] debt;

    Dealer(double[] share) {
      this.share = share;
      debt = new double[share.length];
    }

    /** The holder that these bytes go to. */
    int next(long bytes) {
      int most = 0;
      for (int i = 0; i < share.length; i++) {
        debt[i] += share[i] * bytes;
        most = debt[i] > debt[most] ? i : most;
      }
      debt[most] -= bytes;
      return most;
    }
  }

  /**
   * Cuts each delivery into pieces that take their sender about this long, and deals them out to
   * the holders by the shares of its class. What rounding leaves is carried on to the next pieces.
   * Ends early once there are more than {@link #most}.
   */
  private List<Piece> cut(List<Delivery> deliveries, Senders senders, double seconds) {
    List<Piece> pieces = new ArrayList<>();
    Map<Senders.Source, Dealer> dealers = new HashMap<>();
    for (Delivery delivery : deliveries) {
      Cell cell = delivery.cell();
      List<Integer> holders = cell.holders().hosts();
      Senders.Source source = senders.source(delivery);
      Dealer dealer = dealers.computeIfAbsent(source, key -> new Dealer(senders.shares(key)));
      long chunk = chosen.get(cell.task().tensor()).chunkBytes();
      double target = Math.max((double) chunk, seconds * network.bandwidth(holders.getFirst()));
      long element = delivery.bytes() / delivery.box().volume();
      long count = delivery.ring() > 0 ? 1 : Math.round(delivery.bytes() / target);
      for (Box box : Pieces.cut(delivery.box(), count)) {
        long bytes = box.volume() * element;
        pieces.add(new Piece(delivery, box, bytes, dealer.next(bytes), source.urgency()));
      }
      if (pieces.size() > most()) {
        return pieces;
      }
    }
    return pieces;
  }
}
