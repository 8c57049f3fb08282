package io.crossmesh.transfer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A chunk on its way again, straight from the host that staged it to the one where it arrived
 * damaged. Packed slices take memory of their own: such chunks are rare, and receivers ask for few
 * at a time.
 */
final class Resend implements Transport.SendDone {
  private final Channel channel;
  private final SourceStep.Part part;

  /** Keeps what is packed reachable until it has left. */
  private final MemorySegment payload;

  private Resend(Channel channel, SourceStep.Part part, MemorySegment payload) {
    this.channel = channel;
    this.part = part;
    this.payload = payload;
  }

  /** Sends a chunk of a move, which this host stages as {@code staged}, to a peer. */
  static void post(
      Node node,
      Channel channel,
      SourceStep.Part part,
      HostMove staged,
      ControlCodec.Chunk chunk,
      Peer to) {
    MemorySet set = part.sender().stagingSet(part.stagingSet());
    TilePlace place = staged.source();
    MemorySegment payload;
    if (place.contiguous()) {
      payload = set.chunk(staged, place, chunk.chunk());
    } else {
      payload = Arena.ofAuto().allocate(staged.chunkLength(chunk.chunk()), 8);
      set.pack(staged, place, chunk.chunk(), payload);
    }
    Resend resend = new Resend(channel, part, payload);
    channel.pin();
    part.chunkPosted();
    node.outbox()
        .chunk(
            to.index(),
            channel.id(),
            part.step().step(),
            chunk.move(),
            chunk.chunk(),
            resend.payload,
            node.checksums().of(payload),
            resend);
  }

  @Override
  public void sent() {
    part.chunkSent(false);
    channel.unpin();
  }

  @Override
  public void failed(String reason) {
    part.chunkFailed(reason);
    channel.unpin();
  }
}
