package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Sharding;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Proves of any list of moves that it reshards: each is sent by a device that holds its slice and
 * reaches the hosts of its receivers, and of each destination tile every element is in exactly one
 * move. It trusts nothing of the planner and does not know unit tasks.
 *
 * <p>That boxes cover a tile exactly once is {@link ExactCover}'s part. Tiles with the same moves
 * are proven once.
 */
final class CoverageProof {
  private final TensorReshard reshard;
  private final List<Move> moves;
  private final int[] firstHolders;

  private CoverageProof(TensorReshard reshard, List<Move> moves, int[] firstHolders) {
    this.reshard = reshard;
    this.moves = moves;
    this.firstHolders = firstHolders;
  }

  /** What is wrong with the moves, or nothing. */
  static Optional<String> fault(List<TensorReshard> tensors, List<Move> moves) {
    List<List<Move>> byTensor = new ArrayList<>();
    tensors.forEach(t -> byTensor.add(new ArrayList<>()));
    for (Move move : moves) {
      if (move.tensor() < 0 || move.tensor() >= tensors.size()) {
        return Optional.of("a move is of tensor %d, which does not exist".formatted(move.tensor()));
      }
      byTensor.get(move.tensor()).add(move);
    }
    IdentityHashMap<Sharding, int[]> firstHolders = new IdentityHashMap<>();
    for (int i = 0; i < tensors.size(); i++) {
      TensorReshard tensor = tensors.get(i);
      int[] first = firstHolders.computeIfAbsent(tensor.src(), CoverageProof::firstHolders);
      Optional<String> fault = new CoverageProof(tensor, byTensor.get(i), first).fault();
      if (fault.isPresent()) {
        return fault.map(text -> tensor.describe() + ": " + text);
      }
    }
    return Optional.empty();
  }

  /** For each device of a layout, the first device of its host that holds the same tile. */
  private static int[] firstHolders(Sharding sharding) {
    record Place(String host, IntBuffer blocks) {}
    Map<Place, Integer> first = new HashMap<>();
    int[] holders = new int[sharding.mesh().size()];
    for (int device = 0; device < holders.length; device++) {
      Place place =
          new Place(sharding.mesh().hostOf(device), IntBuffer.wrap(sharding.blocks(device)));
      Integer known = first.putIfAbsent(place, device);
      holders[device] = known == null ? device : known;
    }
    return holders;
  }

  private Optional<String> fault() {
    int[] sources = new int[0];
    MoveCheck check = new MoveCheck(reshard);
    for (int m = 0; m < moves.size(); m++) {
      Move move = moves.get(m);
      boolean forwards = check.forwards(move);
      if (forwards && sources.length == 0) {
        sources = Forwarding.sources(moves);
      }
      boolean brought = forwards && sources[m] != Forwarding.NONE;
      Optional<String> fault = check.fault(move, brought);
      if (fault.isEmpty() && brought && startsEarly(moves.get(sources[m]), move)) {
        fault = Optional.of("it starts before the slice is where its route begins");
      }
      if (fault.isEmpty() && firstHolders[move.sender()] != move.sender()) {
        fault =
            Optional.of(
                "the sender is not the first holder of its host, device %d"
                    .formatted(firstHolders[move.sender()]));
      }
      if (fault.isPresent()) {
        return fault.map(text -> text + " in " + move);
      }
    }
    return tileFault();
  }

  /** Whether a move starts before the one that it waits for ends at its first host. */
  private static boolean startsEarly(Move source, Move move) {
    return source.route().getLast().equals(move.route().getFirst()) && move.start() < source.end();
  }

  /** Walks the tiles: which moves each device gets, then each distinct (tile, moves) once. */
  private Optional<String> tileFault() {
    Sharding dst = reshard.dst();
    int devices = dst.mesh().size();
    int[] begin = new int[devices + 1];
    for (Move move : moves) {
      for (int device : move.receivers()) {
        begin[device + 1]++;
      }
    }
    Arrays.parallelPrefix(begin, Integer::sum);
    int[] filled = Arrays.copyOf(begin, devices);
    int[] gets = new int[begin[devices]];
    for (int m = 0; m < moves.size(); m++) {
      for (int device : moves.get(m).receivers()) {
        gets[filled[device]++] = m;
      }
    }
    record Proven(Box tile, IntBuffer moves) {}
    Set<Proven> proven = new HashSet<>();
    for (int device = 0; device < devices; device++) {
      Box tile = dst.tile(reshard.tensor().shape(), device);
      int count = begin[device + 1] - begin[device];
      if (!proven.add(new Proven(tile, IntBuffer.wrap(gets, begin[device], count).slice()))) {
        continue;
      }
      List<Box> boxes = new ArrayList<>(count);
      for (int i = begin[device]; i < begin[device + 1]; i++) {
        boxes.add(moves.get(gets[i]).box());
      }
      Optional<String> fault = tileFault(tile, boxes);
      if (fault.isPresent()) {
        int at = device;
        return fault.map(
            text ->
                "destination device %d (%s), tile %s: %s"
                    .formatted(at, dst.mesh().devices().get(at), tile, text));
      }
    }
    return Optional.empty();
  }

  private static Optional<String> tileFault(Box tile, List<Box> boxes) {
    for (Box box : boxes) {
      if (!tile.contains(box)) {
        return Optional.of("it gets %s, which is not inside it".formatted(box));
      }
    }
    return tile.isEmpty() ? Optional.empty() : ExactCover.fault(tile, boxes);
  }
}
