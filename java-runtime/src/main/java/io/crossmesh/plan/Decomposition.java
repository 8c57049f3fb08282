package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Sharding;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.IdentityHashMap;
import java.util.List;

/**
 * Cuts each tensor into its unit tasks. Both layouts cut each dimension by itself, so the slices
 * are the cells of the grid that the cuts of both make together: they are enumerated one by one, at
 * a cost proportional to their number, and no pair of tiles that do not meet is ever looked at.
 */
final class Decomposition {
  private final Network network;
  private final IdentityHashMap<Sharding, Group[]> groups = new IdentityHashMap<>();
  private long tasks;
  private long most;
  private String culprit = "";
  private long deliveries;
  private long positions;

  private Decomposition(Network network) {
    this.network = network;
  }

  /** The cells of each tensor, row-major. */
  static List<List<Cell>> of(List<TensorReshard> tensors, Network network) {
    Decomposition decomposition = new Decomposition(network);
    return EqualTensors.of(tensors)
        .each(
            i -> decomposition.cells(i, tensors.get(i)),
            known -> i -> decomposition.again(i, tensors.get(i), known));
  }

  /** The cells of a tensor like one that is cut already. */
  private List<Cell> again(int index, TensorReshard reshard, List<Cell> known) {
    checkTasks(reshard, known.size());
    List<Cell> cells = new ArrayList<>(known.size());
    for (Cell cell : known) {
      checkDeliveries(reshard, cell.receivers());
      UnitTask task = cell.task();
      cells.add(
          new Cell(
              new UnitTask(index, task.box(), task.senders(), task.receivers()),
              cell.holders(),
              cell.receivers(),
              cell.bytes()));
    }
    return cells;
  }

  /**
   * One range of one dimension that lies in one block of either layout.
   *
   * @param srcTiles what its block adds to the number of a tile of the source
   * @param dstTiles the same of the destination
   */
  private record Range(long lo, long hi, int srcTiles, int dstTiles) {}

  private List<Cell> cells(int index, TensorReshard reshard) {
    List<Long> shape = reshard.tensor().shape();
    List<List<Range>> ranges = new ArrayList<>();
    long count = 1;
    for (int d = 0; d < shape.size(); d++) {
      List<Range> of = ranges(reshard, d);
      ranges.add(of);
      count = Math.min(count * of.size(), Plan.MAX_TASKS + 1L);
    }
    checkTasks(reshard, count);
    Group[] holders = groups(reshard.src());
    Group[] receivers = groups(reshard.dst());
    List<Cell> cells = new ArrayList<>((int) count);
    int[] at = new int[shape.size()];
    long[] lo = new long[at.length];
    long[] hi = new long[at.length];
    for (long n = 0; n < count; n++) {
      int srcTile = 0;
      int dstTile = 0;
      for (int d = 0; d < at.length; d++) {
        Range range = ranges.get(d).get(at[d]);
        lo[d] = range.lo;
        hi[d] = range.hi;
        srcTile += range.srcTiles;
        dstTile += range.dstTiles;
      }
      cells.add(cell(index, reshard, Box.of(lo, hi), holders[srcTile], receivers[dstTile]));
      for (int d = at.length - 1; d >= 0 && ++at[d] == ranges.get(d).size(); d--) {
        at[d] = 0;
      }
    }
    return cells;
  }

  private void checkTasks(TensorReshard reshard, long count) {
    tasks += count;
    if (count > most) {
      most = count;
      culprit = reshard.describe();
    }
    if (tasks > Plan.MAX_TASKS) {
      throw PlanChecks.layout(
          "The plan has more than %d unit tasks. Most of them has %s: %s. Use coarser layouts for such tensors or plan fewer tensors together."
              .formatted(
                  Plan.MAX_TASKS,
                  culprit,
                  most > Plan.MAX_TASKS ? "alone more than that" : most + " by itself"));
    }
    positions += reshard.src().mesh().size() + reshard.dst().mesh().size();
    if (positions > Plan.MAX_DELIVERIES) {
      throw PlanChecks.layout(
          "%s: the tensors have more than %d tiles; plan fewer tensors together."
              .formatted(reshard.describe(), Plan.MAX_DELIVERIES));
    }
  }

  private void checkDeliveries(TensorReshard reshard, Group to) {
    deliveries += to.devices().size();
    if (deliveries > Plan.MAX_DELIVERIES) {
      throw PlanChecks.layout(
          "%s: the plan has more than %d slices to deliver; use coarser layouts or plan fewer tensors together."
              .formatted(reshard.describe(), Plan.MAX_DELIVERIES));
    }
  }

  private Cell cell(int index, TensorReshard reshard, Box box, Group from, Group to) {
    checkDeliveries(reshard, to);
    UnitTask task = new UnitTask(index, box, from.devices(), to.devices());
    return new Cell(task, from, to, box.volume() * reshard.tensor().dtype().bytes());
  }

  /** The non-empty ranges of a dimension between two neighbouring cuts of either layout. */
  private static List<Range> ranges(TensorReshard reshard, int d) {
    long n = reshard.tensor().shape().get(d);
    int srcParts = reshard.src().parts(d);
    int dstParts = reshard.dst().parts(d);
    int srcTiles = tilesBehind(reshard.src(), d);
    int dstTiles = tilesBehind(reshard.dst(), d);
    List<Range> ranges = new ArrayList<>();
    int src = 0;
    int dst = 0;
    long lo = 0;
    while (lo < n) {
      long srcEnd = Sharding.cut(n, srcParts, src + 1);
      long dstEnd = Sharding.cut(n, dstParts, dst + 1);
      long hi = Math.min(srcEnd, dstEnd);
      ranges.add(new Range(lo, hi, src * srcTiles, dst * dstTiles));
      src += srcEnd == hi ? 1 : 0;
      dst += dstEnd == hi ? 1 : 0;
      lo = hi;
    }
    return ranges;
  }

  /** By how much the number of a tile grows with its block of a dimension. */
  private static int tilesBehind(Sharding sharding, int dimension) {
    int tiles = 1;
    for (int d = dimension + 1; d < sharding.rank(); d++) {
      tiles *= sharding.parts(d);
    }
    return tiles;
  }

  /** The devices of each tile of a layout, tiles numbered row-major by their blocks. */
  private Group[] groups(Sharding sharding) {
    return groups.computeIfAbsent(sharding, this::makeGroups);
  }

  private Group[] makeGroups(Sharding sharding) {
    int tiles = 1;
    for (int d = 0; d < sharding.rank(); d++) {
      tiles *= sharding.parts(d);
    }
    List<List<Integer>> devices = new ArrayList<>();
    for (int i = 0; i < tiles; i++) {
      devices.add(new ArrayList<>());
    }
    for (int device = 0; device < sharding.mesh().size(); device++) {
      int[] blocks = sharding.blocks(device);
      int tile = 0;
      for (int d = 0; d < blocks.length; d++) {
        tile = tile * sharding.parts(d) + blocks[d];
      }
      devices.get(tile).add(device);
    }
    Group[] made = new Group[tiles];
    Arrays.setAll(made, i -> Group.of(sharding.mesh(), devices.get(i), network));
    return made;
  }
}
