package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.memory.Slot;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The landing sets of a channel on one host. {@code depth} of them exist from the opening on and go
 * round. A credit returns at the hand-over: when a process keeps a set and a step waits, another is
 * got from the arena; when the arena has none, at least one set keeps going round, as the process
 * that would be handed the last one is told to copy it and give it back at once.
 *
 * <p>Invariants: at most {@code depth} steps are granted; sets that are free, or granted and not
 * handed over to anybody, number at most {@code depth}, and at least one while no process breaks
 * its word to copy. What returns beyond that goes back to the arena.
 */
final class SetPool {
  private final Node node;
  private final String owner;
  private final long bytes;
  private final int moves;
  private final int depth;
  private final ArrayDeque<LandingSet> free = new ArrayDeque<>();
  private final List<LandingSet> granted = new ArrayList<>();
  private int receiptsOut;
  private Runnable whenFree = () -> {};
  private boolean closed;

  /**
   * Reserves {@code depth} sets.
   *
   * @throws CrossmeshException ARENA_FULL; nothing is held then
   */
  SetPool(Node node, String owner, long bytes, int moves, int depth) {
    this.node = node;
    this.owner = owner;
    this.bytes = bytes;
    this.moves = moves;
    this.depth = depth;
    try {
      for (int i = 0; i < depth; i++) {
        free.add(allocate());
      }
    } catch (CrossmeshException e) {
      close();
      throw e;
    }
  }

  /** What to do when a set becomes free, whoever let it go. */
  void whenFree(Runnable action) {
    whenFree = action;
  }

  private LandingSet allocate() {
    Slot slot = node.arena().allocate(bytes, owner);
    return new LandingSet(slot, new MemorySet(node.memory(), slot.offset(), moves));
  }

  /** A set for a step, if there is one. */
  @Nullable LandingSet grant() {
    if (granted.size() >= depth) {
      return null;
    }
    LandingSet set = free.poll();
    if (set == null) {
      set = spare();
    }
    if (set != null) {
      set.grant();
      granted.add(set);
    }
    return set;
  }

  private @Nullable LandingSet spare() {
    // Asked for often while the arena is full: the refusal itself, with its list, is for people.
    if (node.arena().budget() - node.arena().used() < bytes) {
      return null;
    }
    try {
      return allocate();
    } catch (CrossmeshException e) {
      if (e.code() != Code.ARENA_FULL) {
        throw e;
      }
      return null;
    }
  }

  /**
   * Prepares the first hand-over of a granted set.
   *
   * @return whether the process must copy because nothing would be left to land in
   */
  boolean handOver(LandingSet set) {
    set.handed();
    if (promised() > 0) {
      return false;
    }
    LandingSet spare = spare();
    if (spare != null) {
      free.add(spare);
    }
    return spare == null;
  }

  private int promised() {
    int count = free.size();
    for (int i = 0; i < granted.size(); i++) {
      count += granted.get(i).promised() ? 1 : 0;
    }
    return count;
  }

  /** Ends a grant: the step was handed to everybody, or it is dead. */
  void ungrant(LandingSet set) {
    granted.remove(set);
    set.ungrant();
    retire(set);
  }

  /** Takes a set back if nothing uses it any more. */
  void retire(LandingSet set) {
    if (set.inUse()) {
      return;
    }
    if (closed || promised() >= depth) {
      set.slot().close();
    } else {
      free.add(set);
      whenFree.run();
    }
  }

  void receiptOut(LandingSet set) {
    set.receiptOut();
    receiptsOut++;
  }

  void receiptBack(LandingSet set) {
    set.receiptBack();
    receiptsOut--;
    retire(set);
  }

  int receiptsOut() {
    return receiptsOut;
  }

  /** Gives up all that nothing uses; the rest follows when it is let go. */
  void close() {
    closed = true;
    whenFree = () -> {};
    for (LandingSet set : new ArrayList<>(granted)) {
      ungrant(set);
    }
    for (LandingSet set : free) {
      set.slot().close();
    }
    free.clear();
  }
}
