package io.crossmesh.flight;

import io.crossmesh.memory.TileLayout;
import io.crossmesh.mesh.Box;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Reads any box of a logical tensor, band by band, from the tiles it crosses: those of this host
 * out of the arena, the others from the agents that hold them. Needs memory for two bands, however
 * large the box is.
 */
final class SliceReader {
  static final long BAND_BYTES_MAX = 4 << 20;

  private static final long ALIGNMENT = 64;

  private final String host;
  private final TensorStore store;
  private final Peers peers;
  private final ClientQuotas quotas;

  SliceReader(String host, TensorStore store, Peers peers, ClientQuotas quotas) {
    this.host = host;
    this.store = store;
    this.peers = peers;
    this.quotas = quotas;
  }

  /** Takes the packed bytes of bands, in order; the segment is valid during the call only. */
  @FunctionalInterface
  interface Sink {
    /** What it throws ends the reading. */
    void accept(MemorySegment band);
  }

  /** The part of the box that lies in one tile. */
  private record Piece(Box tile, Box part, List<String> hosts, Optional<StoredTile> here) {}

  /**
   * Reads.
   *
   * @param local whether only tiles of this host count
   * @throws org.apache.arrow.flight.FlightRuntimeException NOT_FOUND if a tile lies nowhere
   */
  void read(TensorMeta meta, Box box, boolean local, Sink sink) {
    List<Piece> pieces = new ArrayList<>();
    int element = meta.spec().dtype().bytes();
    long bandBytes = Math.max(element, Math.min(BAND_BYTES_MAX, meta.bytes(box)));
    try (ClientQuotas.Lease _ = quotas.take(2 * bandBytes);
        Arena buffers = Arena.ofConfined()) {
      collect(meta, box, local, pieces);
      MemorySegment out = buffers.allocate(bandBytes, ALIGNMENT);
      MemorySegment scratch = buffers.allocate(bandBytes, ALIGNMENT);
      for (Box band : Bands.of(box, element, BAND_BYTES_MAX)) {
        MemorySegment bytes = out.asSlice(0, meta.bytes(band));
        for (Piece piece : pieces) {
          piece
              .part()
              .intersect(band)
              .ifPresent(part -> fill(meta, piece, part, band, bytes, scratch));
        }
        sink.accept(bytes);
      }
    } finally {
      pieces.forEach(piece -> piece.here().ifPresent(StoredTile::close));
    }
  }

  /** Finds all tiles first, so that a slice is of one state of this host's tiles. */
  private void collect(TensorMeta meta, Box box, boolean local, List<Piece> pieces) {
    for (Map.Entry<Box, List<String>> tile : meta.holders().entrySet()) {
      Optional<Box> part = box.isEmpty() ? Optional.empty() : tile.getKey().intersect(box);
      if (part.isPresent()) {
        Optional<StoredTile> here = store.tile(meta.name(), tile.getKey());
        if (here.isEmpty() && (local || tile.getValue().equals(List.of(host)))) {
          throw notPut(meta, tile.getKey(), tile.getValue());
        }
        pieces.add(new Piece(tile.getKey(), part.get(), tile.getValue(), here));
      }
    }
  }

  private void fill(
      TensorMeta meta, Piece piece, Box part, Box band, MemorySegment out, MemorySegment scratch) {
    int element = meta.spec().dtype().bytes();
    long bytes = meta.bytes(part);
    boolean whole = part.equals(band);
    MemorySegment packed = whole ? out : scratch.asSlice(0, bytes);
    if (piece.here().isPresent()) {
      TileLayout.of(piece.tile(), part, element)
          .pack(piece.here().get().memory(), 0, 0, bytes, packed, 0);
    } else {
      fetch(meta, piece, part, packed);
    }
    if (!whole) {
      TileLayout.of(band, part, element).unpack(packed, 0, 0, bytes, out, 0);
    }
  }

  private void fetch(TensorMeta meta, Piece piece, Box part, MemorySegment packed) {
    byte[] ticket = Requests.ticket(meta.name(), part, true);
    for (String holder : piece.hosts()) {
      if (!holder.equals(host) && peers.client(holder).slice(ticket, packed)) {
        return;
      }
    }
    throw notPut(meta, piece.tile(), piece.hosts());
  }

  private static RuntimeException notPut(TensorMeta meta, Box tile, List<String> hosts) {
    return Missing.notFound(
        "the tile %s of %s is not on %s; put it there first."
            .formatted(tile, meta.describe(), hosts));
  }
}
