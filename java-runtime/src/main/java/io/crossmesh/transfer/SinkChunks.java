package io.crossmesh.transfer;

import java.util.ArrayList;
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
  private final Repairs repairs;
  private final List<Upstream> upstream = new ArrayList<>();

  SinkChunks(
      Node node,
      Channel channel,
      HostPlan plan,
      SetPool pool,
      SinkSteps steps,
      List<Link> links) {
    this.node = node;
    this.channel = channel;
    this.plan = plan;
    this.pool = pool;
    this.steps = steps;
    this.links = links;
    this.repairs = new Repairs(node, channel, plan);
  }

  /** Adds the host with the next index in {@link HostPlan#upstream()}. */
  void addUpstream(int peer, List<Scratch> scratch) {
    upstream.add(new Upstream(channel, this, peer, scratch));
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
    return upstream.get(move.previous()).land(step, set, step.incoming(move), header);
  }

  /** Whether a chunk comes for the first time from the host before, or again as it was asked. */
  private boolean isWanted(WireHeader header, Peer peer, HostMove move, InMove in) {
    return repairs.expects(header, peer.host())
        ? in.seeAgain(header.chunk)
        : upstream.get(move.previous()).peer() == peer.index() && in.see(header.chunk);
  }

  /** A chunk of the network is there, but not as it was sent. */
  void damaged(SinkStep step, LandingSet set, InMove in, int chunk) {
    set.unpin();
    if (step.over()) {
      pool.retire(set);
      return;
    }
    in.miss(chunk);
    repairs.damaged(step.step(), in.move(), chunk);
  }

  /** A chunk of the network is there. */
  void landed(SinkStep step, LandingSet set, InMove in, int chunk, long checksum) {
    set.unpin();
    if (step.over()) {
      pool.retire(set);
      return;
    }
    in.land(chunk, checksum);
    repairs.landed(step.step(), in.move(), chunk);
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
    steps.whole(step);
  }

  /** A chunk will not come, or could not be forwarded. */
  void lost(SinkStep step, LandingSet set, String reason) {
    set.unpin();
    pool.retire(set);
    if (!step.over()) {
      channel.failStep(step.step(), channel.lostFailure(reason), true);
    }
  }

  /** A step is over: nothing of it is asked for any more. */
  void forget(long step) {
    repairs.forget(step);
  }
}
