package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Chunks of a channel that come from one host. Those that must be unpacked land in scratch memory,
 * of which there is one window. More can be announced at once: over several network cards the
 * announcement of a chunk overtakes bytes of earlier ones, which their sender counts as sent. What
 * finds no scratch is left at its sender until some is free, and takes its place in the window
 * there; so the memory stays bounded and nothing is lost.
 */
final class Upstream {
  private final Channel channel;
  private final SinkChunks sink;
  private final int peer;
  private final ArrayDeque<ChunkLanding> idle = new ArrayDeque<>();
  private final ArrayDeque<ChunkLanding> waiting = new ArrayDeque<>();
  private final ArrayDeque<Scratch> free;

  Upstream(Channel channel, SinkChunks sink, int peer, List<Scratch> scratch) {
    this.channel = channel;
    this.sink = sink;
    this.peer = peer;
    this.free = new ArrayDeque<>(scratch);
  }

  /** Number of the peer that may send these chunks. */
  int peer() {
    return peer;
  }

  /** Where a chunk lands. */
  Transport.Landing land(SinkStep step, LandingSet set, InMove in, WireHeader header, Peer sender) {
    ChunkLanding landing = idle.isEmpty() ? new ChunkLanding() : idle.pop();
    landing.begin(step, set, in, header.chunk, header.checksum(), sender);
    return landing;
  }

  /** Gives scratch memory to the chunk that waits for it longest, or keeps it for the next. */
  private void give(Scratch scratch) {
    ChunkLanding first = waiting.poll();
    if (first == null) {
      free.push(scratch);
    } else {
      first.fetch(scratch);
    }
  }

  private final class ChunkLanding implements Transport.Landing {
    private @Nullable Scratch scratch;
    private @Nullable Runnable fetch;
    private @Nullable SinkStep step;
    private @Nullable LandingSet set;
    private @Nullable InMove in;
    private @Nullable Peer from;
    private int chunk;
    private long checksum;

    void begin(
        SinkStep ofStep, LandingSet into, InMove ofMove, int index, long ofChunk, Peer sender) {
      step = ofStep;
      set = into;
      in = ofMove;
      chunk = index;
      checksum = ofChunk;
      from = sender;
      into.pin();
      channel.pin();
    }

    @Override
    public boolean ready(Runnable whenFree) {
      if (move().target().contiguous()) {
        return true;
      }
      scratch = free.poll();
      if (scratch == null) {
        fetch = whenFree;
        waiting.add(this);
      }
      return scratch != null;
    }

    void fetch(Scratch given) {
      Runnable present = Objects.requireNonNull(fetch);
      scratch = given;
      fetch = null;
      present.run();
    }

    @Override
    public MemorySegment segment() {
      Scratch packed = scratch;
      return packed == null
          ? into().memory().chunk(move(), move().target(), chunk)
          : packed.of(move().chunkLength(chunk));
    }

    @Override
    public boolean bulk() {
      return true;
    }

    @Override
    public void arrived(MemorySegment payload) {
      boolean whole = isWhole(payload);
      if (whole && move().target().contiguous()) {
        segment().copyFrom(payload);
      } else if (whole) {
        unpack(payload);
      }
      end(whole);
    }

    @Override
    public void landed() {
      // On a slow line nothing else may be heard while it comes.
      Objects.requireNonNull(from).hear();
      boolean whole = isWhole(segment());
      if (whole && scratch != null) {
        unpack(segment());
      }
      end(whole);
    }

    private boolean isWhole(MemorySegment payload) {
      return checksum == Checksums.NONE || channel.checksum(payload) == checksum;
    }

    private void unpack(MemorySegment packed) {
      if (!Objects.requireNonNull(step).over()) {
        into().memory().unpack(move(), move().target(), chunk, packed);
      }
    }

    private void end(boolean whole) {
      SinkStep ofStep = Objects.requireNonNull(step);
      LandingSet into = into();
      InMove ofMove = Objects.requireNonNull(in);
      int index = chunk;
      long sum = checksum;
      release();
      if (whole) {
        channel.countReceived(ofMove.move().chunkLength(index));
        sink.landed(ofStep, into, ofMove, index, sum);
      } else {
        sink.damaged(ofStep, into, ofMove, index);
      }
      channel.unpin();
    }

    @Override
    public void failed(String reason) {
      SinkStep ofStep = Objects.requireNonNull(step);
      LandingSet into = into();
      InMove ofMove = Objects.requireNonNull(in);
      int index = chunk;
      release();
      sink.lost(ofStep, into, ofMove, index);
      channel.unpin();
    }

    private void release() {
      Scratch was = scratch;
      if (fetch != null) {
        waiting.remove(this);
      }
      scratch = null;
      fetch = null;
      step = null;
      set = null;
      in = null;
      from = null;
      idle.push(this);
      if (was != null) {
        give(was);
      }
    }

    private HostMove move() {
      return Objects.requireNonNull(in).move();
    }

    private LandingSet into() {
      return Objects.requireNonNull(set);
    }
  }
}
