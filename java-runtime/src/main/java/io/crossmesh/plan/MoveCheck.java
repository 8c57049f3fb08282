package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Mesh;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Whether one move by itself is sound: its slice, its sender, its route and its receivers. */
final class MoveCheck {
  private static final String OTHER_HOSTS = "the hosts on the route are not those of the receivers";

  private final TensorReshard reshard;
  private final Mesh source;
  private final Mesh destination;
  private final Box whole;

  /** The tiles of the senders that were met. */
  private final @Nullable Box[] tiles;

  MoveCheck(TensorReshard reshard) {
    this.reshard = reshard;
    source = reshard.src().mesh();
    destination = reshard.dst().mesh();
    whole = Box.whole(reshard.tensor().shape());
    tiles = new @Nullable Box[source.size()];
  }

  /** Whether the route begins elsewhere than at the sender's host, if there is such a host. */
  boolean forwards(Move move) {
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
  Optional<String> fault(Move move, boolean brought) {
    Box box = move.box();
    if (!whole.contains(box) || box.isEmpty()) {
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
    if (move.sender() < 0 || move.sender() >= source.size()) {
      return Optional.of("the sender is not in the source mesh");
    }
    if (!tile(move.sender()).contains(box)) {
      return Optional.of("the sender does not hold the slice");
    }
    return routeFault(source.hostOf(move.sender()), move, brought);
  }

  private Box tile(int sender) {
    Box tile = tiles[sender];
    if (tile == null) {
      tile = reshard.src().tile(reshard.tensor().shape(), sender);
      tiles[sender] = tile;
    }
    return tile;
  }

  private Optional<String> routeFault(String senderHost, Move move, boolean brought) {
    List<String> route = move.route();
    if (route.isEmpty() || !(brought || route.getFirst().equals(senderHost))) {
      return Optional.of(
          "the route does not begin at the sender's host, nor where an earlier move brings the slice");
    }
    if (leadsBack(route, senderHost)) {
      return Optional.of("the route leads back to the sender's host");
    }
    if (move.local() && !route.getFirst().equals(senderHost)) {
      return Optional.of("it copies inside a host that is not the sender's");
    }
    return receiversFault(route, move);
  }

  private static boolean leadsBack(List<String> route, String senderHost) {
    for (int hop = 1; hop < route.size(); hop++) {
      if (route.get(hop).equals(senderHost)) {
        return true;
      }
    }
    return false;
  }

  private Optional<String> receiversFault(List<String> route, Move move) {
    int last = -1;
    for (int device : move.receivers()) {
      if (device <= last || device >= destination.size()) {
        return Optional.of("the receivers are not ascending devices of the destination mesh");
      }
      last = device;
    }
    return route.size() <= 2
        ? oneHostFault(route.getLast(), move)
        : hostsFault(route.subList(1, route.size()), move);
  }

  /** The check of {@link #hostsFault} for the routes that most moves have. */
  private Optional<String> oneHostFault(String target, Move move) {
    for (int device : move.receivers()) {
      if (!destination.hostOf(device).equals(target)) {
        return Optional.of(OTHER_HOSTS);
      }
    }
    return move.receivers().isEmpty() ? Optional.of(OTHER_HOSTS) : Optional.empty();
  }

  private Optional<String> hostsFault(List<String> targets, Move move) {
    Set<String> hosts = new HashSet<>(targets);
    if (hosts.size() != targets.size()) {
      return Optional.of("the route visits a host twice");
    }
    Set<String> served = new HashSet<>();
    for (int device : move.receivers()) {
      served.add(destination.hostOf(device));
    }
    return served.equals(hosts) ? Optional.empty() : Optional.of(OTHER_HOSTS);
  }
}
