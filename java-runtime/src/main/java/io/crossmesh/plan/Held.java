package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/**
 * Which hosts hold the slice of a cell: what they need of it they copy, all others are sent it. One
 * object serves one cell after another without clearing anything.
 */
final class Held {
  /** For each host, the last cell that had a holder there, and that holder's position. */
  private final int[] cellOf;

  private final int[] positionOf;
  private int cells;
  private List<Integer> positions = List.of();

  Held(Network network) {
    cellOf = new int[network.size()];
    positionOf = new int[network.size()];
  }

  /** Turns to the next cell. */
  void turnTo(Cell cell) {
    cells++;
    List<Integer> hosts = cell.holders().hosts();
    for (int i = 0; i < hosts.size(); i++) {
      cellOf[hosts.get(i)] = cells;
      positionOf[hosts.get(i)] = i;
    }
  }

  /** Whether a host holds the slice. */
  boolean on(int host) {
    return cellOf[host] == cells;
  }

  /** Position among the holders of a host that is one. */
  int position(int host) {
    return positionOf[host];
  }

  /** Positions, among the receiving hosts, of those that hold the slice or of those that do not. */
  List<Integer> receivers(Cell cell, boolean holding) {
    List<Integer> hosts = cell.receivers().hosts();
    int count = 0;
    for (int i = 0; i < hosts.size(); i++) {
      count += on(hosts.get(i)) == holding ? 1 : 0;
    }
    if (count == 0) {
      return List.of();
    }
    if (count == hosts.size()) {
      return firstPositions(count);
    }
    List<Integer> positions = new ArrayList<>(count);
    for (int i = 0; i < hosts.size(); i++) {
      if (on(hosts.get(i)) == holding) {
        positions.add(i);
      }
    }
    return positions;
  }

  /** The numbers below a count, which is the same from one cell to the next as a rule. */
  private List<Integer> firstPositions(int count) {
    if (positions.size() != count) {
      positions = IntStream.range(0, count).boxed().toList();
    }
    return positions;
  }
}
