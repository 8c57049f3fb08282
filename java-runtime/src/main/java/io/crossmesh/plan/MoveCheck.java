package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Mesh;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** Whether one move by itself is sound: its slice, its sender, its route and its receivers. */
final class MoveCheck {
  private MoveCheck() {}

  /** Whether the route begins elsewhere than at the sender's host, if there is such a host. */
  static boolean forwards(TensorReshard reshard, Move move) {
    Mesh source = reshard.src().mesh();
    return move.sender() >= 0
        && move.sender() < source.size()
        && !move.route().isEmpty()
        && !move.route().getFirst().equals(source.hostOf(move.sender()));
  }

  /**
   * What is wrong with the move, or nothing.
   *
   * @param brought whether an earlier move brings the slice to the first host of the route
   */
  static Optional<String> fault(TensorReshard reshard, Move move, boolean brought) {
    Box box = move.box();
    if (!Box.whole(reshard.tensor().shape()).contains(box) || box.isEmpty()) {
      return Optional.of("the slice %s is empty or not in the tensor".formatted(box));
    }
    int element = reshard.tensor().dtype().bytes();
    if (move.bytes() != box.volume() * element) {
      return Optional.of("%d bytes are not those of the slice".formatted(move.bytes()));
    }
    long chunk = move.chunkBytes();
    if (chunk < 1
        || chunk > Math.min(move.bytes(), Chosen.MAX_CHUNK_BYTES)
        || chunk < Math.min(move.bytes(), Chosen.MIN_CHUNK_BYTES)
        || chunk % element != 0) {
      return Optional.of("chunks of %d bytes do not fit the slice".formatted(chunk));
    }
    if (!(move.start() >= 0
        && move.end() >= move.start()
        && move.end() < Double.POSITIVE_INFINITY)) {
      return Optional.of("times are out of order");
    }
    Mesh source = reshard.src().mesh();
    if (move.sender() < 0 || move.sender() >= source.size()) {
      return Optional.of("the sender is not in the source mesh");
    }
    if (!reshard.src().tile(reshard.tensor().shape(), move.sender()).contains(box)) {
      return Optional.of("the sender does not hold the slice");
    }
    return routeFault(source.hostOf(move.sender()), reshard.dst().mesh(), move, brought);
  }

  private static Optional<String> routeFault(
      String senderHost, Mesh destination, Move move, boolean brought) {
    List<String> route = move.route();
    if (route.isEmpty() || !(brought || route.getFirst().equals(senderHost))) {
      return Optional.of(
          "the route does not begin at the sender's host, nor where an earlier move brings the slice");
    }
    if (route.subList(1, route.size()).contains(senderHost)) {
      return Optional.of("the route leads back to the sender's host");
    }
    if (move.local() && !route.getFirst().equals(senderHost)) {
      return Optional.of("it copies inside a host that is not the sender's");
    }
    Set<String> hosts = new HashSet<>(route);
    if (hosts.size() != route.size()) {
      return Optional.of("the route visits a host twice");
    }
    Set<String> served = new HashSet<>();
    int last = -1;
    for (int device : move.receivers()) {
      if (device <= last || device >= destination.size()) {
        return Optional.of("the receivers are not ascending devices of the destination mesh");
      }
      last = device;
      served.add(destination.hostOf(device));
    }
    if (!served.equals(new HashSet<>(move.local() ? route : route.subList(1, route.size())))) {
      return Optional.of("the hosts on the route are not those of the receivers");
    }
    return Optional.empty();
  }
}
