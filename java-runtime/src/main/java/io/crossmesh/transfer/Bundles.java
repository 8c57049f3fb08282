package io.crossmesh.transfer;

import io.crossmesh.memory.Arena;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.plan.Chosen;
import io.crossmesh.plan.Forwarding;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.TensorReshard;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Moves of whole tiles that lie one after the other at both ends, and so can travel as if they were
 * one slice: a thousand small tensors then cost as many messages as one large one.
 *
 * <p>The sender and the receiver must find the same bundles, and neither knows how the other's
 * devices are divided among processes. So the members of a bundle follow each other among all moves
 * that begin at their host, are of one device, and touch their tiles first: then nothing comes
 * between them in whatever staging set they lie. Slices that another host forwards stay by
 * themselves.
 */
final class Bundles {
  /** The largest member of a bundle, in bytes. */
  static final long MEMBER_BYTES_MAX = 1 << 20;

  /** Chunks of a bundle, in bytes, where other slices cross the NICs at its ends too. */
  static final long CHUNK_BYTES = 1 << 20;

  /** Where nothing else does: as a large slice by itself, since each chunk is a rendezvous. */
  static final long CHUNK_BYTES_ALONE = Chosen.MAX_CHUNK_BYTES;

  private record Tile(int tensor, Box box) {}

  /** What was last at a host where moves begin. */
  private static final class Origin {
    private final Set<Tile> touched = new HashSet<>();
    private int last = ALONE;
    private long end;
  }

  private static final int ALONE = -1;

  private final Plan plan;
  private final Landings landings;
  private final int[] head;
  private final long[] bytes;
  private final Map<List<String>, Boolean> apart = new HashMap<>();

  /** Where tiles lie in the landing sets of a host. */
  interface Landings {
    SetLayout of(String host);
  }

  /** The bundles that leave a host or reach it. */
  Bundles(Plan plan, String host, Landings landings) {
    this(plan, move -> ends(move).contains(host), landings);
  }

  /** All bundles. */
  Bundles(Plan plan, Landings landings) {
    this(plan, move -> true, landings);
  }

  private static List<String> ends(Move move) {
    return List.of(move.route().getFirst(), move.route().getLast());
  }

  private Bundles(Plan plan, Predicate<Move> wanted, Landings landings) {
    this.plan = plan;
    this.landings = landings;
    this.head = new int[plan.moves().size()];
    this.bytes = new long[head.length];
    Map<String, Origin> origins = origins(wanted);
    boolean[] alone = alone();
    for (int m = 0; m < head.length; m++) {
      Move move = plan.moves().get(m);
      head[m] = m;
      bytes[m] = move.bytes();
      Origin origin = origins.get(move.route().getFirst());
      if (origin != null && begins(move)) {
        join(origin, m, move, alone[m]);
      }
    }
  }

  private Map<String, Origin> origins(Predicate<Move> wanted) {
    Map<String, Origin> origins = new HashMap<>();
    for (Move move : plan.moves()) {
      if (wanted.test(move)) {
        origins.computeIfAbsent(move.route().getFirst(), h -> new Origin());
      }
    }
    return origins;
  }

  private void join(Origin origin, int m, Move move, boolean alone) {
    int last = origin.last;
    origin.last = ALONE;
    // The slices of a tile are not larger than it: none of a small tile is passed over here.
    if (move.bytes() > MEMBER_BYTES_MAX) {
      return;
    }
    TensorReshard tensor = tensor(move);
    boolean first =
        origin.touched.add(new Tile(move.tensor(), tile(tensor.src(), move, move.sender())));
    if (alone || !first || !whole(move)) {
      return;
    }
    Box target = tile(tensor.dst(), move, receivers(move).getFirst());
    long offset = landings.of(move.route().getLast()).offset(move.tensor(), target);
    if (last != ALONE && together(plan.moves().get(last), move) && offset == origin.end) {
      head[m] = head[last];
      bytes[head[m]] += move.bytes();
    }
    origin.last = move.bytes() % Arena.ALIGNMENT_BYTES == 0 ? m : ALONE;
    origin.end = offset + move.bytes();
  }

  /** Moves that are forwarded, or cross more hosts than two. */
  private boolean[] alone() {
    boolean[] alone = new boolean[head.length];
    int[] sources = Forwarding.sources(plan.moves());
    for (int m = 0; m < alone.length; m++) {
      alone[m] |= plan.moves().get(m).route().size() != 2;
      if (sources[m] != Forwarding.NONE) {
        alone[sources[m]] = true;
      }
    }
    return alone;
  }

  private boolean begins(Move move) {
    return tensor(move).src().mesh().hostOf(move.sender()).equals(move.route().getFirst());
  }

  /** Whether the slice is all of its tile at both ends. */
  private boolean whole(Move move) {
    TensorReshard tensor = tensor(move);
    return move.box().equals(tile(tensor.src(), move, move.sender()))
        && receivers(move).stream()
            .allMatch(device -> move.box().equals(tile(tensor.dst(), move, device)));
  }

  private List<Integer> receivers(Move move) {
    List<Integer> there = new ArrayList<>();
    for (int device : move.receivers()) {
      if (tensor(move).dst().mesh().hostOf(device).equals(move.route().getLast())) {
        there.add(device);
      }
    }
    return there;
  }

  private boolean together(Move one, Move next) {
    return one.route().equals(next.route())
        && tensor(one)
            .src()
            .mesh()
            .devices()
            .get(one.sender())
            .equals(tensor(next).src().mesh().devices().get(next.sender()));
  }

  private Box tile(Sharding layout, Move move, int device) {
    return layout.tile(tensor(move).tensor().shape(), device);
  }

  /** Size of the chunks in which a move and what travels with it are cut. */
  long chunkBytes(int move) {
    Move first = plan.moves().get(move);
    if (bytes[move] == first.bytes()) {
      return first.chunkBytes();
    }
    return Math.min(bytes[move], apart(first.route()) ? CHUNK_BYTES_ALONE : CHUNK_BYTES);
  }

  /** Whether all that leaves the first host of a route of two, or reaches the second, goes so. */
  private boolean apart(List<String> route) {
    return apart.computeIfAbsent(
        route,
        r ->
            plan.moves().stream()
                .map(Move::route)
                .allMatch(other -> other.equals(r) || !meets(other, r)));
  }

  private static boolean meets(List<String> other, List<String> route) {
    int last = other.size() - 1;
    int sends = other.indexOf(route.getFirst());
    return (sends >= 0 && sends < last) || other.indexOf(route.getLast()) > 0;
  }

  private TensorReshard tensor(Move move) {
    return plan.request().tensors().get(move.tensor());
  }

  /** Whether a move travels in the bundle of an earlier one. */
  boolean follows(int move) {
    return head[move] != move;
  }

  /** The first move of the bundle that a move travels in; the move itself if there is none. */
  int head(int move) {
    return head[move];
  }

  /** The moves of the bundle that begins with a move, in order. */
  List<Integer> members(int move) {
    List<Integer> members = new ArrayList<>();
    for (int m = move; m < head.length; m++) {
      if (head[m] == move) {
        members.add(m);
      }
    }
    return members;
  }

  /** Bytes of the bundle that begins with a move; of the move alone if there is none. */
  long bytes(int move) {
    return bytes[move];
  }
}
