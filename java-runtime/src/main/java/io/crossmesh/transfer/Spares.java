package io.crossmesh.transfer;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.TensorReshard;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * Tiles that a host stages although the plan does not read them there: those that it holds a
 * replica of and that would be lost with the one host that stages them. Each such tile has one
 * spare holder, the next of its hosts in order, so that all hosts agree on it without a word.
 */
final class Spares {
  /** A tile of a tensor, by a device that holds it. */
  record Spare(int tensor, int device) {}

  private record Tile(int tensor, Box box) {}

  private Spares() {}

  /** What a host stages for others. */
  static List<Spare> of(Plan plan, String host) {
    Map<Tile, TreeSet<String>> stagedBy = new LinkedHashMap<>();
    for (Move move : plan.moves()) {
      TensorReshard tensor = plan.request().tensors().get(move.tensor());
      if (tensor.src().mesh().hosts().size() > 1) {
        Box box = tensor.src().tile(tensor.tensor().shape(), move.sender());
        stagedBy
            .computeIfAbsent(new Tile(move.tensor(), box), tile -> new TreeSet<>())
            .add(tensor.src().mesh().hostOf(move.sender()));
      }
    }
    List<Spare> spares = new ArrayList<>();
    stagedBy.forEach(
        (tile, hosts) -> {
          NavigableMap<String, Integer> holders = holders(plan, tile);
          if (hosts.size() > 1 || holders.size() < 2) {
            return;
          }
          Map.Entry<String, Integer> next = holders.higherEntry(hosts.getFirst());
          Map.Entry<String, Integer> spare = next == null ? holders.firstEntry() : next;
          if (spare != null && spare.getKey().equals(host)) {
            spares.add(new Spare(tile.tensor, spare.getValue()));
          }
        });
    return spares;
  }

  /** The hosts that hold a tile, each with the first of its devices that do. */
  private static NavigableMap<String, Integer> holders(Plan plan, Tile tile) {
    TensorReshard tensor = plan.request().tensors().get(tile.tensor);
    Mesh mesh = tensor.src().mesh();
    NavigableMap<String, Integer> holders = new TreeMap<>();
    for (int device = 0; device < mesh.size(); device++) {
      if (tensor.src().tile(tensor.tensor().shape(), device).equals(tile.box)) {
        holders.putIfAbsent(mesh.hostOf(device), device);
      }
    }
    return holders;
  }
}
