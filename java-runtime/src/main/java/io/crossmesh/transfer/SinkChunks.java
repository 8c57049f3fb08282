package io.crossmesh.transfer;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;

/**
 * Chunks of a channel that arrive at a destination host: which are wanted, where they land, what
 * becomes of them. What is of no granted step is thrown away.
 */
final class SinkChunks {
  private final Node node;
  private final Channel channel;
  private final HostPlan plan;
  private final SetPool pool;
  private final SinkSteps steps;
  private final List<Link> links;
  private final Fetches fetches;
  private final List<Upstream> upstream = new ArrayList<>();

  SinkChunks(
      Node node, Channel channel, HostPlan plan, SetPool pool, SinkSteps steps, List<Link> links) {
    this.node = node;
    this.channel = channel;
    this.plan = plan;
    this.pool = pool;
    this.steps = steps;
    this.links = links;
    this.fetches = new Fetches(node, channel, plan);
  }

  /** Adds the host with the next index in {@link HostPlan#upstream()}. */
  void addUpstream(int peer, List<Scratch> scratch) {
    upstream.add(new Upstream(channel, this, peer, scratch));
  }

  /** What a step receives in a set that it was granted. */
  InMove[] incoming(SinkStep step, LandingSet set) {
    InMove[] moves = new InMove[plan.incoming().size()];
    for (HostMove move : plan.incoming()) {
      BitSet landed = new BitSet(move.chunks());
      boolean forwarded = move.next() != HostMove.NONE || plan.isBranched(move);
      long[] checksums = new long[forwarded ? move.chunks() : 0];
      OutMove forward =
          move.next() == HostMove.NONE
              ? null
              : new OutMove(step, step.step(), move, set.memory(), landed, checksums);
      moves[move.ordinal()] = new InMove(move, landed, checksums, forward);
    }
    for (HostPlan.Branch branch : plan.branches()) {
      BitSet none = new BitSet(branch.move().chunks());
      InMove brought = moves[branch.brought().ordinal()];
      brought.add(
          new OutMove(step, step.step(), branch.move(), set.memory(), none, brought.checksums()));
    }
    return moves;
  }

  /** Answers where a chunk goes. */
  Transport.Landing chunk(WireHeader header, Peer peer) {
    SinkStep step = steps.granted(header.step);
    LandingSet set = step == null ? null : step.set();
    HostMove move = plan.incoming(header.move);
    if (step == null
        || set == null
        || move == null
        || header.chunk >= move.chunks()
        || header.length != move.chunkLength(header.chunk)
        || !isWanted(header, peer, move, step.incoming(move))) {
      node.drop();
      return Transport.Landing.DISCARD;
    }
    return upstream.get(move.previous()).land(step, set, step.incoming(move), header, peer);
  }

  /** Whether a chunk comes for the first time, from the host before or from one it was asked of. */
  private boolean isWanted(WireHeader header, Peer peer, HostMove move, InMove in) {
    return (upstream.get(move.previous()).peer() == peer.index()
            || fetches.expects(header, peer.host()))
        && in.see(header.chunk);
  }

  /** A chunk of the network is there, but not as it was sent. */
  void damaged(SinkStep step, LandingSet set, InMove in, int chunk) {
    set.unpin();
    if (step.over()) {
      pool.retire(set);
      return;
    }
    in.miss(chunk);
    fetches.damaged(step.step(), in.move(), chunk);
    channel.holdings().changed(step.step());
  }

  /** A chunk broke off: the host that sent it is lost, or will be found to be. */
  void lost(SinkStep step, LandingSet set, InMove in, int chunk) {
    set.unpin();
    if (step.over()) {
      pool.retire(set);
      return;
    }
    in.miss(chunk);
    fetches.missing(step.step(), in.move(), chunk);
    channel.holdings().changed(step.step());
  }

  /** A chunk of the network is there. */
  void landed(SinkStep step, LandingSet set, InMove in, int chunk, long checksum) {
    set.unpin();
    if (step.over()) {
      pool.retire(set);
      return;
    }
    in.land(chunk, checksum);
    fetches.landed(step.step(), in.move(), chunk);
    OutMove forward = in.forward();
    if (forward != null) {
      links.get(in.move().next()).offer(forward);
    }
    if (in.whole()) {
      for (OutMove branch : in.branches()) {
        branch.landWhole();
        links.get(branch.move().next()).offer(branch);
      }
    }
    step.chunkLanded();
    channel.holdings().changed(step.step());
    steps.whole(step);
  }

  /**
   * Asks other hosts for the chunks of a granted step that were to come from a host and will not.
   * Those that are landing from it either land or break off.
   */
  void fetch(SinkStep step, String host) {
    int previous = plan.upstream().indexOf(host);
    for (InMove in : step.incoming()) {
      int chunks = in.move().previous() == previous ? in.move().chunks() : 0;
      for (int chunk = in.nextUnseen(0); chunk < chunks; chunk = in.nextUnseen(chunk + 1)) {
        fetches.missing(step.step(), in.move(), chunk);
        if (step.over()) {
          return;
        }
      }
    }
  }

  /** A host is lost: what it was asked for others are asked for. */
  void lose(String host) {
    fetches.lose(host);
  }

  /** A host does not have a chunk that it was asked for. */
  void lacks(String host, long step, ControlCodec.Chunk chunk) {
    fetches.lacks(host, step, chunk);
  }

  /** A step is over: nothing of it is asked for any more. */
  void forget(long step) {
    fetches.forget(step);
    channel.holdings().changed(step);
  }
}
