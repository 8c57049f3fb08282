package io.crossmesh.transfer;

import io.crossmesh.CrossmeshException;
import io.crossmesh.memory.Slot;
import java.util.ArrayList;
import java.util.List;
import java.util.function.ToLongFunction;

/**
 * Everything of the arena that a channel needs on one host, reserved whole when it opens: landing
 * sets, staging sets and the scratch of slices that are not contiguous. Nothing more is asked for
 * later but spares, which may be refused.
 */
final class ChannelMemory implements AutoCloseable {
  private final Node node;
  private final String name;
  private final HostPlan plan;
  private final List<Slot> slots = new ArrayList<>();
  private final List<List<MemorySet>> staging = new ArrayList<>();
  private final List<List<Scratch>> down = new ArrayList<>();
  private final List<List<Scratch>> up = new ArrayList<>();
  private final List<Scratch> local;
  private final SetPool landing;

  /**
   * @param depth landing sets; 0 on a host without destination devices
   * @throws CrossmeshException ARENA_FULL; nothing is held then
   */
  ChannelMemory(Node node, String name, HostPlan plan, int depth, List<LocalParticipant> senders) {
    this.node = node;
    this.name = name;
    this.plan = plan;
    int window = node.options().chunksInFlight();
    int moves = plan.plan().moves().size();
    try {
      for (int next = 0; next < plan.downstream().size(); next++) {
        down.add(scratch(window, strided(next, HostMove::next, HostMove::outgoing)));
      }
      for (int previous = 0; previous < plan.upstream().size(); previous++) {
        up.add(scratch(window, strided(previous, HostMove::previous, HostMove::target)));
      }
      local = scratch(1, stridedCopies());
      for (LocalParticipant sender : senders) {
        staging.add(stagingSets(sender, moves));
      }
      landing = new SetPool(node, owner("landing sets"), plan.landing().bytes(), moves, depth);
    } catch (CrossmeshException e) {
      slots.forEach(Slot::close);
      throw e;
    }
  }

  private List<MemorySet> stagingSets(LocalParticipant sender, int moves) {
    long bytes = plan.staging().get(sender.index()).bytes();
    List<MemorySet> sets = new ArrayList<>();
    for (int i = 0; i < sender.open().depth(); i++) {
      Slot slot = slot(bytes, "staging sets of " + sender.open().owner());
      sets.add(new MemorySet(node.memory(), slot.offset(), moves));
    }
    return sets;
  }

  private interface PlaceOf {
    TilePlace of(HostMove move);
  }

  /** The largest chunk of the strided moves on one link; 0 when there is none. */
  private long strided(int link, ToLongFunction<HostMove> linkOf, PlaceOf place) {
    long most = 0;
    List<HostMove> moves = new ArrayList<>(plan.origins());
    moves.addAll(plan.incoming());
    plan.branches().forEach(branch -> moves.add(branch.move()));
    for (HostMove move : moves) {
      if (linkOf.applyAsLong(move) == link && !place.of(move).contiguous()) {
        most = Math.max(most, move.chunkBytesMax());
      }
    }
    return most;
  }

  private long stridedCopies() {
    long most = 0;
    for (HostMove move : plan.locals()) {
      if (!move.source().contiguous() && !move.target().contiguous()) {
        most = Math.max(most, move.chunkBytesMax());
      }
    }
    return most;
  }

  private List<Scratch> scratch(int count, long bytes) {
    List<Scratch> buffers = new ArrayList<>();
    for (int i = 0; i < count && bytes > 0; i++) {
      Slot slot = slot(bytes, "packing buffers");
      buffers.add(new Scratch(node.memory().asSlice(slot.offset(), bytes)));
    }
    return buffers;
  }

  private Slot slot(long bytes, String what) {
    Slot slot = node.arena().allocate(bytes, owner(what));
    slots.add(slot);
    return slot;
  }

  private String owner(String what) {
    return "channel '%s' (%s)".formatted(name, what);
  }

  SetPool landing() {
    return landing;
  }

  /** The staging sets of a source participant. */
  List<MemorySet> staging(int sender) {
    return staging.get(sender);
  }

  /** Packing buffers towards a downstream host; empty when nothing needs them. */
  List<Scratch> down(int next) {
    return down.get(next);
  }

  /** Unpacking buffers for an upstream host; empty when nothing needs them. */
  List<Scratch> up(int previous) {
    return up.get(previous);
  }

  /** The buffer of copies inside the host; empty when nothing needs it. */
  List<Scratch> local() {
    return local;
  }

  /** Gives everything back but the sets that processes hold, which follow when they let go. */
  @Override
  public void close() {
    slots.forEach(Slot::close);
    landing.close();
  }
}
