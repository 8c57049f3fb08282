package io.crossmesh.transfer;

import java.util.BitSet;
import org.jspecify.annotations.Nullable;

/**
 * A step at a source host: known (a process sends it, or a destination host has room for it),
 * launched part by part as processes stage their tiles, delivered when every destination host has
 * it whole.
 */
final class SourceStep {
  private final long step;
  private final BitSet granted = new BitSet();
  private final BitSet done = new BitSet();
  private final BitSet without = new BitSet();
  private final @Nullable Part[] parts;
  private boolean started;
  private boolean delivered;
  private boolean over;

  SourceStep(long step, int senders) {
    this.step = step;
    this.parts = new @Nullable Part[senders];
  }

  long step() {
    return step;
  }

  /** Destination hosts with a set for the step. */
  BitSet granted() {
    return granted;
  }

  /** Destination hosts that have it whole. */
  BitSet done() {
    return done;
  }

  /** Destination hosts that will never have it. */
  BitSet without() {
    return without;
  }

  /** Whether nothing more will come of it at any destination host. */
  boolean settled(int destinations) {
    return done.cardinality() + without.cardinality() == destinations;
  }

  @Nullable Part part(int sender) {
    return parts[sender];
  }

  /** The part of a process that has staged its tiles. */
  Part stage(SourceSteps source, LocalParticipant sender, int stagingSet, int moves) {
    Part part = new Part(source, sender, stagingSet, moves);
    parts[sender.index()] = part;
    return part;
  }

  @Nullable Part[] parts() {
    return parts;
  }

  /** Notes that the destinations are told; false when they were before. */
  boolean start() {
    boolean first = !started;
    started = true;
    return first;
  }

  boolean started() {
    return started;
  }

  void deliver() {
    delivered = true;
  }

  boolean delivered() {
    return delivered;
  }

  void end() {
    over = true;
  }

  boolean over() {
    return over;
  }

  /** What one process sends in the step. Its staging set is in use until nothing reads it. */
  final class Part implements OutMove.Owner {
    private final SourceSteps source;
    private final LocalParticipant sender;
    private final int stagingSet;
    private int movesLeft;
    private int inFlight;
    private boolean launched;
    private boolean released;

    Part(SourceSteps source, LocalParticipant sender, int stagingSet, int moves) {
      this.source = source;
      this.sender = sender;
      this.stagingSet = stagingSet;
      this.movesLeft = moves;
    }

    SourceStep step() {
      return SourceStep.this;
    }

    LocalParticipant sender() {
      return sender;
    }

    int stagingSet() {
      return stagingSet;
    }

    /** Notes that its moves are on their way; false when they were before. */
    boolean launch() {
      boolean first = !launched;
      launched = true;
      return first;
    }

    /**
     * Whether nothing will read the staging set any more. Before all destination hosts have the
     * step one of them may yet ask for a chunk that it got damaged or from nobody.
     */
    boolean settled() {
      return inFlight == 0 && (over || (delivered && movesLeft == 0));
    }

    boolean released() {
      return released;
    }

    /** Notes that the process is told so; false when it was before. */
    boolean release() {
      boolean first = !released;
      released = true;
      return first;
    }

    /** A move inside this host was copied. */
    void copied() {
      movesLeft--;
      source.settle(this);
    }

    @Override
    public boolean over() {
      return over;
    }

    @Override
    public void chunkPosted() {
      inFlight++;
    }

    @Override
    public void chunkSent(boolean last) {
      inFlight--;
      if (last) {
        movesLeft--;
      }
      source.settle(this);
    }

    @Override
    public void abandoned() {
      movesLeft--;
      source.settle(this);
    }
  }
}
