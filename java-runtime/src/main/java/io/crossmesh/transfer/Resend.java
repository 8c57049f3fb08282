package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * A chunk on its way from a host that has it straight to one that asked for it. Packed slices take
 * memory of their own: such chunks are rare, and receivers ask for few at a time. The sets that it
 * is read from are neither used again nor handed over until it has left.
 */
final class Resend implements Transport.SendDone {
  private final Channel channel;
  private final List<SourceStep.Part> parts = new ArrayList<>();
  private final List<SinkStep> steps = new ArrayList<>();

  /** Keeps what is packed reachable until it has left. */
  private MemorySegment payload = MemorySegment.NULL;

  Resend(Channel channel) {
    this.channel = channel;
  }

  /** Reads from a staging set. */
  void borrow(SourceStep.Part part) {
    parts.add(part);
  }

  /** Reads from a landing set. */
  void borrow(SinkStep step) {
    steps.add(step);
  }

  /** Sends the chunk. */
  void post(Node node, Peer to, long step, HostMove move, int chunk, MemorySegment bytes) {
    payload = bytes;
    channel.pin();
    parts.forEach(SourceStep.Part::chunkPosted);
    steps.forEach(SinkStep::lend);
    node.outbox()
        .chunk(
            to.index(),
            channel.id(),
            channel.passes().forHost(to.host()),
            step,
            move.index(),
            chunk,
            payload,
            node.checksums().of(payload),
            false,
            this);
  }

  @Override
  public void sent() {
    end();
  }

  @Override
  public void failed(String reason) {
    // The transport reports the host as lost: it will not ask again.
    end();
  }

  private void end() {
    parts.forEach(part -> part.chunkSent(false));
    steps.forEach(step -> step.chunkSent(true));
    channel.unpin();
  }
}
