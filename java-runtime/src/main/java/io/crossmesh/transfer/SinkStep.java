package io.crossmesh.transfer;

import java.util.BitSet;
import org.jspecify.annotations.Nullable;

/**
 * A step at a destination host: known (a process asked for it or a source host began it), granted
 * (a set is reserved), whole (every chunk has landed), handed over (to each process that asked).
 */
final class SinkStep implements OutMove.Owner {
  private final SinkSteps sink;
  private final long step;
  private final BitSet started = new BitSet();
  private final BitSet called = new BitSet();
  private final BitSet handed = new BitSet();
  private @Nullable LandingSet set;
  private InMove[] incoming = new InMove[0];
  private long chunksLeft;
  private int forwardsLeft;
  private boolean doneSent;
  private boolean mustCopy;
  private boolean over;

  SinkStep(SinkSteps sink, long step) {
    this.sink = sink;
    this.step = step;
  }

  /** Gives the step a set to land in. */
  void grant(LandingSet landing, InMove[] moves, long chunks, int forwards) {
    set = landing;
    incoming = moves;
    chunksLeft = chunks;
    forwardsLeft = forwards;
  }

  long step() {
    return step;
  }

  /** Source hosts that have begun the step. */
  BitSet started() {
    return started;
  }

  /** Processes of this host that asked for the step. */
  BitSet called() {
    return called;
  }

  /** Processes of this host that have it. */
  BitSet handed() {
    return handed;
  }

  @Nullable LandingSet set() {
    return set;
  }

  InMove[] incoming() {
    return incoming;
  }

  InMove incoming(HostMove move) {
    return incoming[move.ordinal()];
  }

  void chunkLanded() {
    chunksLeft--;
  }

  long chunksLeft() {
    return chunksLeft;
  }

  /** Whether it is granted and every chunk is there. */
  boolean landed() {
    return set != null && chunksLeft == 0;
  }

  /** Whether nobody will read the set for this step any more but the processes it is handed to. */
  boolean forwarded() {
    return forwardsLeft == 0;
  }

  /** Notes that the sources are told; false when they were before. */
  boolean tellDone() {
    boolean first = !doneSent;
    doneSent = true;
    return first;
  }

  boolean doneSent() {
    return doneSent;
  }

  void mustCopy(boolean copy) {
    mustCopy = copy;
  }

  boolean mustCopy() {
    return mustCopy;
  }

  void end() {
    over = true;
  }

  @Override
  public boolean over() {
    return over;
  }

  @Override
  public void chunkPosted() {
    granted().pin();
  }

  @Override
  public void chunkSent(boolean last) {
    granted().unpin();
    if (last) {
      forwardsLeft--;
    }
    sink.forwarded(this, granted());
  }

  @Override
  public void abandoned() {
    forwardsLeft--;
    sink.forwarded(this, granted());
  }

  /** Another host is sent a chunk of it that it asked for; ends as what is forwarded. */
  void lend() {
    forwardsLeft++;
    granted().pin();
  }

  private LandingSet granted() {
    LandingSet present = set;
    if (present == null) {
      throw new IllegalStateException("step " + step + " has no set");
    }
    return present;
  }
}
