package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Which move each move waits for. A route may begin at a host that has the slice from an earlier
 * move of the plan: one of the same tensor, box, chunk size and sender whose route reaches that
 * host. The host forwards when all of the slice has landed. As the move waited for is an earlier
 * one, moves never wait in a circle.
 */
public final class Forwarding {
  /** Of a move that begins at its sender's host. */
  public static final int NONE = -1;

  private record Place(int tensor, int sender, long chunkBytes, Box box, String host) {
    static Place of(Move move, String host) {
      return new Place(move.tensor(), move.sender(), move.chunkBytes(), move.box(), host);
    }
  }

  private Forwarding() {}

  /** For each move the index of the first one that brings its slice, or {@link #NONE}. */
  public static int[] sources(List<Move> moves) {
    int[] sources = new int[moves.size()];
    Arrays.fill(sources, NONE);
    if (!anyForwards(moves)) {
      return sources;
    }
    Map<Place, Integer> brought = new HashMap<>();
    for (int m = 0; m < moves.size(); m++) {
      Move move = moves.get(m);
      sources[m] = brought.getOrDefault(Place.of(move, move.route().getFirst()), NONE);
      for (int hop = 1; hop < move.route().size(); hop++) {
        brought.putIfAbsent(Place.of(move, move.route().get(hop)), m);
      }
    }
    return sources;
  }

  /** Where no device's slices set out from two hosts, none is forwarded: the common case. */
  private static boolean anyForwards(List<Move> moves) {
    record Sender(int tensor, int device) {}
    Map<Sender, String> hosts = new HashMap<>();
    for (Move move : moves) {
      String host = move.route().getFirst();
      String known = hosts.putIfAbsent(new Sender(move.tensor(), move.sender()), host);
      if (known != null && !known.equals(host)) {
        return true;
      }
    }
    return false;
  }
}
