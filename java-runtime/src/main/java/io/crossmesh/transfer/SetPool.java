package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.memory.Arena;
import io.crossmesh.memory.Slot;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The landing sets of a channel on one host. {@code depth} of them exist from the opening on and go
 * round. A credit returns at the hand-over: when a process keeps a set and a step waits, another is
 * got from the arena; when the arena has none, at least one set keeps going round, as the process
 * that would be handed the last one is told to copy it and give it back at once. A set that needs
 * many new pages is reserved beside the owner thread, and the hand-over waits for it.
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
  private boolean reserving;
  private boolean refused;
  private Runnable whenFree = () -> {};
  private boolean closed;

  /** What a process that a step is handed to does with its set. */
  enum HandOver {
    KEEP,
    COPY,
    /** It is not known yet; asked again when {@link #whenFree} has run. */
    LATER
  }

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

  /** What to do when a set becomes free, whoever let it go, or when none could be reserved. */
  void whenFree(Runnable action) {
    whenFree = action;
  }

  private LandingSet allocate() {
    return set(node.arena().allocate(bytes, owner));
  }

  private LandingSet set(Slot slot) {
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
    try {
      return switch (node.arena().attempt(bytes, owner, node.options().coldBytesMax())) {
        case Arena.Got(Slot slot) -> set(slot);
        case Arena.Full full -> null;
        case Arena.Cold cold -> {
          reserveBeside();
          yield null;
        }
      };
    } catch (CrossmeshException e) {
      if (e.code() != Code.ARENA_FULL) {
        throw e;
      }
      return null;
    }
  }

  private void reserveBeside() {
    if (!reserving && !refused && !closed) {
      reserving = true;
      node.options().reserving().accept(this::reserve);
    }
  }

  /** Runs beside the owner thread. */
  private void reserve() {
    Slot slot = null;
    try {
      slot = node.arena().allocate(bytes, owner);
    } catch (CrossmeshException | IllegalStateException e) {
      // The arena is full, as far as steps are concerned, or closed.
    }
    Slot got = slot;
    node.commands().accept(() -> reserved(got));
  }

  private void reserved(@Nullable Slot slot) {
    reserving = false;
    if (slot != null && (closed || promised() >= depth)) {
      slot.close();
    } else if (slot != null) {
      free.add(set(slot));
    }
    refused = slot == null;
    whenFree.run();
    refused = false;
  }

  /** Prepares the first hand-over of a granted set; the process copies if nothing else is left. */
  HandOver handOver(LandingSet set) {
    int others = promised() - (set.promised() ? 1 : 0);
    if (others == 0) {
      LandingSet spare = spare();
      if (spare != null) {
        free.add(spare);
      } else if (reserving) {
        return HandOver.LATER;
      }
    }
    set.handed();
    return promised() > 0 ? HandOver.KEEP : HandOver.COPY;
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
