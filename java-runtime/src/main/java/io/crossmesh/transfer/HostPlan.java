package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.memory.TileLayout;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.plan.Forwarding;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.TensorReshard;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * What one host does of a plan: the layouts of its sets and its moves with places in them, worked
 * out once, so that a chunk costs no look-up.
 */
final class HostPlan {
  private final String host;
  private final Plan plan;
  private final SetLayout landing;
  private final Staging staging;
  private final List<String> upstream = new ArrayList<>();
  private final List<String> downstream = new ArrayList<>();
  private final List<HostMove> origins = new ArrayList<>();
  private final List<HostMove> locals = new ArrayList<>();
  private final List<HostMove> incoming = new ArrayList<>();
  private final List<Branch> branches = new ArrayList<>();
  private final Bundles bundles;
  private final @Nullable HostMove[] incomingByMove;
  private final int[] sources;
  private final Set<String> reached = new TreeSet<>();
  private final int[] movesStaged;
  private final BitSet branched = new BitSet();
  private long landingChunks;
  private int relays;
  private @Nullable Bundles everywhere;

  /**
   * A move that begins here with what another move has landed.
   *
   * @param move what is sent; it lies in the landing set
   * @param brought the incoming move that brings it, whole before it is sent
   */
  record Branch(HostMove move, HostMove brought) {}

  /**
   * @param stagers the devices of each source participant of this host
   * @param spares whether to stage what would be lost with one other host
   */
  HostPlan(Plan plan, String host, List<List<Integer>> stagers, boolean spares) {
    this.plan = plan;
    this.host = host;
    this.incomingByMove = new @Nullable HostMove[plan.moves().size()];
    this.movesStaged = new int[stagers.size()];
    landing = landing(host);
    Map<String, SetLayout> landings = new HashMap<>(Map.of(host, landing));
    this.bundles = new Bundles(plan, host, other -> landings.computeIfAbsent(other, this::landing));
    staging = new Staging(plan, host, stagers);
    for (Move move : plan.moves()) {
      if (tensor(move).src().mesh().hostOf(move.sender()).equals(host)) {
        // Those that other hosts forward too: what is sent must find room all the way.
        reached.addAll(move.local() ? move.route() : move.route().subList(1, move.route().size()));
        if (move.route().getFirst().equals(host)) {
          staging.add(move.tensor(), move.sender());
        }
      }
    }
    if (spares) {
      // After all others: what travels together must lie together.
      Spares.of(plan, host).forEach(spare -> staging.add(spare.tensor(), spare.device()));
    }
    sources = Forwarding.sources(plan.moves());
    for (int i = 0; i < plan.moves().size(); i++) {
      Move move = plan.moves().get(i);
      if (sources[i] != Forwarding.NONE && move.route().getFirst().equals(host)) {
        branch(i, move, sources[i]);
      } else if (move.route().contains(host) && !bundles.follows(i)) {
        place(i, move);
      }
    }
  }

  private SetLayout landing(String of) {
    SetLayout tiles = new SetLayout();
    List<TensorReshard> tensors = plan.request().tensors();
    for (int t = 0; t < tensors.size(); t++) {
      Sharding layout = tensors.get(t).dst();
      for (int device = 0; device < layout.mesh().size(); device++) {
        if (layout.mesh().hostOf(device).equals(of)) {
          tiles.add(t, tensors.get(t).tensor(), layout, device);
        }
      }
    }
    return tiles;
  }

  private void place(int index, Move move) {
    TensorReshard tensor = tensor(move);
    int position = move.route().indexOf(host);
    int stager = HostMove.NONE;
    TilePlace source = null;
    if (position == 0) {
      stager = staging.stagerOf(move.sender());
      Box tile = tensor.src().tile(tensor.tensor().shape(), move.sender());
      long offset = staging.layouts().get(stager).offset(move.tensor(), tile);
      source = place(index, move, offset, tile);
    }
    TilePlace target = position > 0 || move.local() ? target(index, move) : null;
    int previous = position == 0 ? HostMove.NONE : index(upstream, move.route().get(position - 1));
    int next =
        position == move.route().size() - 1
            ? HostMove.NONE
            : index(downstream, move.route().get(position + 1));
    List<HostMove> kind = move.local() ? locals : position == 0 ? origins : incoming;
    HostMove placed =
        new HostMove(
            index,
            kind.size(),
            bundles.bytes(index),
            bundles.chunkBytes(index),
            stager,
            source,
            target,
            previous,
            next);
    kind.add(placed);
    if (position > 0) {
      incomingByMove[index] = placed;
    }
    landingChunks += target == null ? 0 : placed.chunks();
    relays += position > 0 && next != HostMove.NONE ? 1 : 0;
    if (stager != HostMove.NONE) {
      movesStaged[stager]++;
    }
  }

  private void branch(int index, Move move, int source) {
    HostMove brought = incomingByMove[source];
    if (brought == null) {
      throw broken(move, "what it forwards does not land here");
    }
    int next = index(downstream, move.route().get(1));
    int ordinal = branches.size();
    HostMove placed =
        new HostMove(
            index,
            ordinal,
            move.bytes(),
            move.chunkBytes(),
            HostMove.NONE,
            null,
            brought.target(),
            HostMove.NONE,
            next);
    branches.add(new Branch(placed, brought));
    branched.set(brought.index());
  }

  private TilePlace target(int index, Move move) {
    TensorReshard tensor = tensor(move);
    Set<Box> tiles = new LinkedHashSet<>();
    for (int device : move.receivers()) {
      if (tensor.dst().mesh().hostOf(device).equals(host)) {
        tiles.add(tensor.dst().tile(tensor.tensor().shape(), device));
      }
    }
    if (tiles.size() != 1) {
      throw broken(move, "it has " + tiles.size() + " tiles on one host");
    }
    Box tile = tiles.iterator().next();
    return place(index, move, landing.offset(move.tensor(), tile), tile);
  }

  private TilePlace place(int index, Move move, long offset, Box tile) {
    long bytes = bundles.bytes(index);
    TileLayout layout =
        bytes == move.bytes()
            ? TileLayout.of(tile, move.box(), tensor(move).tensor().dtype().bytes())
            : TileLayout.contiguous(bytes);
    return new TilePlace(offset, layout);
  }

  private TensorReshard tensor(Move move) {
    return plan.request().tensors().get(move.tensor());
  }

  private static int index(List<String> hosts, String host) {
    int index = hosts.indexOf(host);
    if (index < 0) {
      hosts.add(host);
      return hosts.size() - 1;
    }
    return index;
  }

  private static CrossmeshException broken(Move move, String why) {
    return new CrossmeshException(
        Code.INTERNAL,
        "The plan has a move of %s along %s that cannot be carried out: %s. Please report the plan."
            .formatted(move.box(), move.route(), why));
  }

  Plan plan() {
    return plan;
  }

  String host() {
    return host;
  }

  /** What travels together between any two hosts; worked out when it is asked. */
  Bundles everywhere() {
    Bundles present = everywhere;
    if (present == null) {
      Map<String, SetLayout> landings = new HashMap<>(Map.of(host, landing));
      present = new Bundles(plan, other -> landings.computeIfAbsent(other, this::landing));
      everywhere = present;
    }
    return present;
  }

  /** The tiles of this host's destination devices; empty when it has none. */
  SetLayout landing() {
    return landing;
  }

  /** The tiles that moves read, for each source participant. */
  List<SetLayout> staging() {
    return staging.layouts();
  }

  /** The source participant of this host that holds a device, or {@link HostMove#NONE}. */
  int stagerOf(int device) {
    return staging.stagerOf(device);
  }

  /** Hosts that send to this one. */
  List<String> upstream() {
    return upstream;
  }

  /** Hosts that this one sends to. */
  List<String> downstream() {
    return downstream;
  }

  /** Moves that begin here and leave the host, in the plan's order. */
  List<HostMove> origins() {
    return origins;
  }

  /** Moves that stay on this host. */
  List<HostMove> locals() {
    return locals;
  }

  /** Moves that reach this host over the network. */
  List<HostMove> incoming() {
    return incoming;
  }

  /** Moves that begin here with what has landed here, in the plan's order. */
  List<Branch> branches() {
    return branches;
  }

  /** Whether what an incoming move brings is sent on by another move. */
  boolean isBranched(HostMove brought) {
    return branched.get(brought.index());
  }

  /** The incoming move with this index in the plan, if it is one. */
  @Nullable HostMove incoming(int move) {
    return move < incomingByMove.length ? incomingByMove[move] : null;
  }

  /** The host that stages what a move brings. */
  String originHost(int index) {
    Move move = plan.moves().get(index);
    return tensor(move).src().mesh().hostOf(move.sender());
  }

  /** The move that first brings what a move brings: itself, unless it is forwarded by others. */
  int root(int index) {
    int root = index;
    while (sources[root] != Forwarding.NONE) {
      root = sources[root];
    }
    return root;
  }

  /** For each host the moves that begin here and bring what lands there, by whatever moves. */
  Map<String, Set<Integer>> landingElsewhere() {
    Map<String, Set<Integer>> landing = new TreeMap<>();
    for (int i = 0; i < plan.moves().size(); i++) {
      Move move = plan.moves().get(i);
      if (originHost(i).equals(host)) {
        int brings = bundles.head(root(i));
        for (String to :
            move.local() ? move.route() : move.route().subList(1, move.route().size())) {
          landing.computeIfAbsent(to, h -> new HashSet<>()).add(brings);
        }
      }
    }
    return landing;
  }

  /** Chunks that must land here, copied ones too, before a step is whole. */
  long landingChunks() {
    return landingChunks;
  }

  /** Moves that this host sends from its landing set. */
  int forwards() {
    return relays + branches.size();
  }

  /** Moves that read what a source participant stages. */
  int movesStaged(int stager) {
    return movesStaged[stager];
  }

  /** Destination hosts that get what is staged here, whoever forwards it. */
  Set<String> reached() {
    return reached;
  }
}
