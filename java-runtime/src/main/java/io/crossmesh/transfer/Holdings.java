package io.crossmesh.transfer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What this host gives to destination hosts that ask for single chunks: from a staging set, which
 * keeps its bytes until every destination has the step, or from a landing set that no process was
 * handed yet, chunk by chunk. A chunk that is just landing is waited for; one that is not here is
 * said to lack, for good: whoever asks then turns to another host.
 */
final class Holdings {
  private enum Found {
    HERE,
    COMING,
    NOT_HERE
  }

  private record Asked(String host, long step, ControlCodec.Chunk chunk) {}

  private final Node node;
  private final Channel channel;
  private final Set<String> destinations;
  private final SlicePlaces places;
  private final @Nullable SourceSteps source;
  private final @Nullable SinkSteps sink;
  private final Map<Integer, SlicePlaces.Slice> slices = new HashMap<>();
  private final List<Asked> waiting = new ArrayList<>();

  Holdings(
      Node node,
      Channel channel,
      HostPlan plan,
      List<String> destinations,
      @Nullable SourceSteps source,
      @Nullable SinkSteps sink) {
    this.node = node;
    this.channel = channel;
    this.destinations = new HashSet<>(destinations);
    this.places = new SlicePlaces(plan);
    this.source = source;
    this.sink = sink;
  }

  /** A host asks for a chunk. */
  void asked(String host, long step, ControlCodec.Chunk chunk) {
    Peer peer = node.peers().ofHost(host);
    SlicePlaces.Slice slice = slice(chunk.move());
    if (peer == null
        || !peer.connected()
        || slice == null
        || chunk.chunk() >= slice.shape().chunks()
        || !destinations.contains(host)) {
      node.drop();
      return;
    }
    if (fromStaging(peer, step, slice, chunk.chunk())) {
      return;
    }
    switch (landed(step, slice, chunk.chunk())) {
      case HERE -> fromLanding(peer, step, slice, chunk.chunk());
      case COMING -> waiting.add(new Asked(host, step, chunk));
      case NOT_HERE ->
          node.outbox()
              .send(host, MessageKind.LACKS, channel.id(), step, ControlCodec.chunk(chunk));
    }
  }

  /** Chunks of a step have landed here, or will not: who waits for them has an answer. */
  void changed(long step) {
    if (waiting.isEmpty()) {
      return;
    }
    List<Asked> again = waiting.stream().filter(asked -> asked.step == step).toList();
    waiting.removeAll(again);
    again.forEach(asked -> asked(asked.host, asked.step, asked.chunk));
  }

  private SlicePlaces.@Nullable Slice slice(int move) {
    return slices.computeIfAbsent(move, places::find);
  }

  private boolean fromStaging(Peer to, long step, SlicePlaces.Slice slice, int chunk) {
    SourceStep known = source == null ? null : source.step(step);
    if (known == null || slice.staged().isEmpty()) {
      return false;
    }
    List<SlicePlaces.Piece> pieces = slice.of(slice.staged(), chunk);
    Resend resend = new Resend(channel);
    List<MemorySet> sets = new ArrayList<>();
    for (SlicePlaces.Piece piece : pieces) {
      SourceStep.Part part = known.part(piece.stager());
      if (part == null || part.released()) {
        return false;
      }
      sets.add(part.sender().stagingSet(part.stagingSet()));
      resend.borrow(part);
    }
    resend.post(node, to, step, slice.shape(), chunk, payload(slice, chunk, pieces, sets));
    return true;
  }

  private Found landed(long step, SlicePlaces.Slice slice, int chunk) {
    SinkStep granted = sink == null ? null : sink.granted(step);
    if (granted == null || slice.landing().isEmpty() || !granted.handed().isEmpty()) {
      return Found.NOT_HERE;
    }
    if (granted.landed()) {
      return Found.HERE;
    }
    Found worst = Found.HERE;
    for (SlicePlaces.Piece piece : slice.of(slice.landing(), chunk)) {
      Found found = landed(granted, slice, piece, chunk);
      worst = found.compareTo(worst) > 0 ? found : worst;
    }
    return worst;
  }

  private static Found landed(
      SinkStep step, SlicePlaces.Slice slice, SlicePlaces.Piece piece, int chunk) {
    for (HostMove move : piece.brought()) {
      InMove in = step.incoming(move);
      boolean alike = slice.alike(piece, move);
      if (alike ? !in.has(chunk) : !in.whole()) {
        return alike && in.comes(chunk) ? Found.COMING : Found.NOT_HERE;
      }
    }
    return piece.copied() ? Found.NOT_HERE : Found.HERE;
  }

  private void fromLanding(Peer to, long step, SlicePlaces.Slice slice, int chunk) {
    SinkStep granted = sink == null ? null : sink.granted(step);
    LandingSet set = granted == null ? null : granted.set();
    if (granted == null || set == null) {
      return;
    }
    List<SlicePlaces.Piece> pieces = slice.of(slice.landing(), chunk);
    List<MemorySet> sets = pieces.stream().map(piece -> set.memory()).toList();
    Resend resend = new Resend(channel);
    resend.borrow(granted);
    resend.post(node, to, step, slice.shape(), chunk, payload(slice, chunk, pieces, sets));
  }

  /** The bytes of a chunk: where they are, or packed into memory of their own. */
  private MemorySegment payload(
      SlicePlaces.Slice slice, int chunk, List<SlicePlaces.Piece> pieces, List<MemorySet> sets) {
    long begin = slice.shape().chunkStart(chunk);
    long length = slice.shape().chunkLength(chunk);
    SlicePlaces.Piece first = pieces.getFirst();
    if (pieces.size() == 1 && first.place().contiguous()) {
      long at = sets.getFirst().base() + first.place().at(begin - first.start());
      return node.memory().asSlice(at, length);
    }
    MemorySegment packed = Arena.ofAuto().allocate(length, 8);
    for (int i = 0; i < pieces.size(); i++) {
      SlicePlaces.Piece piece = pieces.get(i);
      long from = Math.max(begin, piece.start());
      long bytes = Math.min(begin + length, piece.start() + piece.bytes()) - from;
      piece
          .place()
          .layout()
          .pack(
              node.memory(),
              sets.get(i).base() + piece.place().tile(),
              from - piece.start(),
              bytes,
              packed,
              from - begin);
    }
    return packed;
  }
}
