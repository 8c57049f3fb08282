package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;

/**
 * Puts the routes of slices that go round a ring in order: each piece to its first host as soon as
 * its turn comes, and when the last piece of a slice has been sent, the rounds of that slice, in
 * each of which every host passes on the piece that it got in the round before.
 */
final class Rings {
  private final IdentityHashMap<Cell, List<List<Route>>> begun = new IdentityHashMap<>();

  /** The routes that follow when a piece is sent. */
  List<Route> add(Piece piece) {
    List<Route> hops = piece.ring();
    Cell cell = piece.delivery().cell();
    List<List<Route>> pieces = begun.computeIfAbsent(cell, key -> new ArrayList<>());
    pieces.add(hops);
    List<Route> next = new ArrayList<>();
    next.add(hops.getFirst());
    if (pieces.size() == piece.delivery().ring()) {
      for (int round = 1; round < hops.size(); round++) {
        for (List<Route> of : pieces) {
          next.add(of.get(round));
        }
      }
      begun.remove(cell);
    }
    return next;
  }
}
