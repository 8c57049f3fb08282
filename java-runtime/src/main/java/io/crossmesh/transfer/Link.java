package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.PriorityQueue;
import org.jspecify.annotations.Nullable;

/**
 * The queue of a channel to one next host. At most a window of chunks is in flight; each place in
 * the window is an object made at open, with its own scratch when a slice must be packed. Moves
 * stand in the queue only while their next chunk can be sent, so the first is always the one to
 * send. Once the host is lost, nothing is sent any more and whoever offers is told.
 */
final class Link {
  private final Node node;
  private final Channel channel;
  private final int peer;
  private final PriorityQueue<OutMove> ready = new PriorityQueue<>();
  private final ArrayDeque<ChunkSend> idle = new ArrayDeque<>();
  private long pass = Passes.NONE;
  private boolean lost;

  /**
   * @param scratch one for each chunk of the window, or none when no slice needs packing
   */
  Link(Node node, Channel channel, int peer, int window, List<Scratch> scratch) {
    this.node = node;
    this.channel = channel;
    this.peer = peer;
    for (ChunkSend place : places(window, scratch)) {
      idle.push(place);
    }
  }

  private List<ChunkSend> places(int window, List<Scratch> scratch) {
    List<ChunkSend> places = new ArrayList<>();
    for (int i = 0; i < window; i++) {
      places.add(new ChunkSend(scratch.isEmpty() ? null : scratch.get(i)));
    }
    return places;
  }

  /** Puts a move in the queue if its next chunk can be sent. */
  void offer(OutMove out) {
    if (lost) {
      abandon(out);
    } else if (!out.queued() && out.ready()) {
      out.queued(true);
      ready.add(out);
      channel.wake();
    }
  }

  /** The next host is lost. */
  void lose() {
    lost = true;
    while (!ready.isEmpty()) {
      OutMove out = ready.poll();
      out.queued(false);
      abandon(out);
    }
  }

  private static void abandon(OutMove out) {
    if (out.abandon()) {
      out.owner().abandoned();
    }
  }

  /** Sends what the window lets through; the number of chunks. */
  int pump() {
    int sent = 0;
    while (!idle.isEmpty()) {
      OutMove out = ready.peek();
      if (out == null) {
        break;
      }
      if (out.owner().over()) {
        ready.poll();
        out.queued(false);
        continue;
      }
      ChunkSend place = idle.pop();
      int chunk = out.takeNext();
      if (!out.ready()) {
        ready.poll();
        out.queued(false);
      }
      place.post(out, chunk);
      sent++;
    }
    return sent;
  }

  /** What the next host wants to be shown; it has told when the channel opened. */
  private long pass() {
    if (pass == Passes.NONE) {
      Peer next = node.peers().ofIndex(peer);
      pass = next == null ? Passes.NONE : channel.passes().forHost(next.host());
    }
    return pass;
  }

  private final class ChunkSend implements Transport.SendDone {
    private final @Nullable Scratch scratch;
    private @Nullable OutMove out;
    private long length;

    ChunkSend(@Nullable Scratch scratch) {
      this.scratch = scratch;
    }

    void post(OutMove move, int chunk) {
      out = move;
      length = move.move().chunkLength(chunk);
      MemorySegment payload = payload(move, chunk);
      boolean begins = move.begins();
      move.begins(false);
      channel.pin();
      move.owner().chunkPosted();
      node.outbox()
          .chunk(
              peer,
              channel.id(),
              pass(),
              move.step(),
              move.move().index(),
              chunk,
              payload,
              checksum(move, chunk, payload),
              begins,
              this);
    }

    private long checksum(OutMove move, int chunk, MemorySegment payload) {
      long known = move.checksum(chunk);
      return known == Checksums.NONE && node.options().checksums()
          ? node.checksums().of(payload)
          : known;
    }

    private MemorySegment payload(OutMove move, int chunk) {
      TilePlace place = move.move().outgoing();
      if (place.contiguous()) {
        return move.set().chunk(move.move(), place, chunk);
      }
      if (scratch == null) {
        throw new IllegalStateException("a strided slice on a link without scratch");
      }
      MemorySegment packed = scratch.of(length);
      move.set().pack(move.move(), place, chunk, packed);
      return packed;
    }

    private OutMove release() {
      OutMove was = out;
      if (was == null) {
        throw new IllegalStateException("a send ended twice");
      }
      out = null;
      idle.push(this);
      channel.wake();
      return was;
    }

    @Override
    public void sent() {
      OutMove was = release();
      channel.countSent(length);
      was.owner().chunkSent(was.settle());
      channel.unpin();
    }

    @Override
    public void failed(String reason) {
      // The transport reports the host as lost; what is left of the move need not wait for that.
      OutMove was = release();
      if (was.queued()) {
        ready.remove(was);
        was.queued(false);
      }
      was.abandon();
      was.owner().chunkSent(was.settle());
      channel.unpin();
    }
  }
}
