package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * Orders very many pieces. Choosing each start with care costs more than linear time, and where
 * pieces outnumber the pairs of hosts by far, which of two neighbours goes first does not matter:
 * pieces of one sender for the same hosts are put in bundles, the bundles are put in order as if
 * they were pieces, and each takes the place and the chain of its bundle. What goes round a ring
 * has its own way and stays alone.
 */
final class Bundles {
  /** So many pieces at most are put in order one by one. */
  static final int MAX_PIECES = 1 << 14;

  /** Pieces that start together and take the same way. */
  private static final class Bundle {
    final List<Piece> pieces = new ArrayList<>();
    long bytes;

    void add(Piece piece) {
      pieces.add(piece);
      bytes += piece.bytes();
    }

    /** What stands for it: like its first piece, of its size, with a box object of its own. */
    Piece lead() {
      Piece first = pieces.getFirst();
      Box box = first.box();
      long[] lo = new long[box.rank()];
      long[] hi = new long[box.rank()];
      Arrays.setAll(lo, box::lo);
      Arrays.setAll(hi, box::hi);
      return new Piece(first.delivery(), Box.of(lo, hi), bytes, first.holder(), first.urgency());
    }
  }

  private Bundles() {}

  /** The routes of the pieces, in the order in which they should start. */
  static List<Route> order(List<Piece> pieces, double chunkBytes, Network network, Manner manner) {
    if (pieces.size() <= MAX_PIECES) {
      return Interleaver.order(pieces, chunkBytes, network, manner);
    }
    // The box object of a bundle's lead tells the bundle of a route.
    IdentityHashMap<Object, Bundle> byBox = new IdentityHashMap<>();
    List<Piece> together = new ArrayList<>();
    for (Piece piece : pieces) {
      if (piece.delivery().ring() > 0) {
        together.add(piece);
      }
    }
    for (Bundle bundle : bundles(pieces)) {
      Piece lead = bundle.lead();
      byBox.put(lead.box(), bundle);
      together.add(lead);
    }
    List<Route> routes = new ArrayList<>(pieces.size());
    for (Route route : Interleaver.order(together, chunkBytes, network, manner)) {
      Bundle bundle = byBox.get(route.box());
      if (bundle == null) {
        routes.add(route);
      } else {
        bundle.pieces.forEach(piece -> routes.add(piece.route(route.hosts())));
      }
    }
    return routes;
  }

  private static List<Bundle> bundles(List<Piece> pieces) {
    record Ends(int from, List<Integer> to, int urgency) {}
    double all = 0;
    for (Piece piece : pieces) {
      all += piece.bytes();
    }
    double enough = all / MAX_PIECES;
    Map<Ends, Bundle> open = new HashMap<>();
    List<Bundle> bundles = new ArrayList<>();
    for (Piece piece : pieces) {
      if (piece.delivery().ring() > 0) {
        continue;
      }
      Ends ends = new Ends(piece.from(), piece.delivery().hosts(), piece.urgency());
      Bundle bundle = open.get(ends);
      if (bundle == null || bundle.bytes >= enough) {
        bundle = new Bundle();
        bundles.add(bundle);
        open.put(ends, bundle);
      }
      bundle.add(piece);
    }
    return bundles;
  }
}
