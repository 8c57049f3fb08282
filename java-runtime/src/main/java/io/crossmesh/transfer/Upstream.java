package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Chunks of a channel that come from one host. The sender's window bounds those that land by
 * rendezvous, and an eager one has landed before the next is announced; so a window of scratch
 * buffers is enough for slices that must be unpacked.
 */
final class Upstream {
  private final Channel channel;
  private final SinkSteps sink;
  private final int peer;
  private final ArrayDeque<ChunkLanding> direct = new ArrayDeque<>();
  private final ArrayDeque<ChunkLanding> packed = new ArrayDeque<>();

  Upstream(Channel channel, SinkSteps sink, int peer, List<Scratch> scratch) {
    this.channel = channel;
    this.sink = sink;
    this.peer = peer;
    scratch.forEach(buffer -> packed.push(new ChunkLanding(buffer)));
  }

  /** Number of the peer that may send these chunks. */
  int peer() {
    return peer;
  }

  /** Where a chunk lands; nothing when the peer has more in flight than its window. */
  Transport.@Nullable Landing land(SinkStep step, LandingSet set, InMove in, int chunk) {
    TilePlace place = in.move().target();
    ChunkLanding landing;
    if (place.contiguous()) {
      landing = direct.isEmpty() ? new ChunkLanding(null) : direct.pop();
    } else if (packed.isEmpty()) {
      return null;
    } else {
      landing = packed.pop();
    }
    landing.begin(step, set, in, chunk);
    return landing;
  }

  private final class ChunkLanding implements Transport.Landing {
    private final @Nullable Scratch scratch;
    private MemorySegment memory = MemorySegment.NULL;
    private @Nullable SinkStep step;
    private @Nullable LandingSet set;
    private @Nullable InMove in;
    private int chunk;

    ChunkLanding(@Nullable Scratch scratch) {
      this.scratch = scratch;
    }

    void begin(SinkStep ofStep, LandingSet into, InMove ofMove, int index) {
      HostMove move = ofMove.move();
      memory =
          scratch == null
              ? into.memory().chunk(move, move.target(), index)
              : scratch.of(move.chunkLength(index));
      step = ofStep;
      set = into;
      in = ofMove;
      chunk = index;
      into.pin();
      channel.pin();
    }

    private void release() {
      step = null;
      set = null;
      in = null;
      (scratch == null ? direct : packed).push(this);
    }

    @Override
    public MemorySegment segment() {
      return memory;
    }

    @Override
    public boolean bulk() {
      return true;
    }

    @Override
    public void landed() {
      SinkStep ofStep = Objects.requireNonNull(step);
      LandingSet into = Objects.requireNonNull(set);
      InMove ofMove = Objects.requireNonNull(in);
      int index = chunk;
      HostMove move = ofMove.move();
      if (scratch != null && !ofStep.over()) {
        into.memory().unpack(move, move.target(), index, memory);
      }
      release();
      channel.countReceived(move.chunkLength(index));
      sink.landed(ofStep, into, ofMove, index);
      channel.unpin();
    }

    @Override
    public void failed(String reason) {
      SinkStep ofStep = Objects.requireNonNull(step);
      LandingSet into = Objects.requireNonNull(set);
      release();
      sink.lost(ofStep, into, reason);
      channel.unpin();
    }
  }
}
