package io.crossmesh.transfer;

import io.crossmesh.memory.TileLayout;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.TensorReshard;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Where what a move brings lies on a host that has it for other reasons: in staging sets, because
 * other moves begin there or it is the spare holder, or in landing sets. Worked out when it is
 * needed; the moves of the plan do not need it.
 */
final class SlicePlaces {
  /**
   * The slice of one move of those that travel together.
   *
   * @param move its index in the plan
   * @param stager the source participant in whose staging set it lies, or {@link HostMove#NONE}
   * @param start its first byte among those that travel together
   * @param brought the incoming moves that fill it; none in a staging set
   * @param copied whether copies inside the host fill some of it as well
   */
  record Piece(
      int move,
      int stager,
      TilePlace place,
      long start,
      long bytes,
      List<HostMove> brought,
      boolean copied) {}

  /**
   * What travels as one.
   *
   * @param shape its bytes and chunks, without places
   * @param staged its pieces in staging sets; empty when one is in none
   * @param landing its pieces in the landing set; empty when one is not there
   */
  record Slice(HostMove shape, List<Piece> staged, List<Piece> landing, List<Move> moves) {
    /** The pieces that a chunk has bytes of. */
    List<Piece> of(List<Piece> pieces, int chunk) {
      long begin = shape.chunkStart(chunk);
      long end = begin + shape.chunkLength(chunk);
      return pieces.stream()
          .filter(piece -> piece.start < end && piece.start + piece.bytes > begin)
          .toList();
    }

    /** Whether an incoming move brings the same chunks. */
    boolean alike(Piece piece, HostMove brought) {
      return shape.index() == brought.index()
          || (moves.get(piece.move).box().equals(moves.get(brought.index()).box())
              && shape.chunkBytesMax() == brought.chunkBytesMax()
              && shape.bytes() == brought.bytes());
    }
  }

  private final HostPlan plan;

  SlicePlaces(HostPlan plan) {
    this.plan = plan;
  }

  /** The places of what a move brings; null for one that is not in the plan or is no first. */
  @Nullable Slice find(int index) {
    if (index >= plan.plan().moves().size() || plan.everywhere().follows(index)) {
      return null;
    }
    List<Integer> members = plan.everywhere().members(index);
    List<Piece> staged = new ArrayList<>();
    List<Piece> landing = new ArrayList<>();
    long start = 0;
    for (int member : members) {
      Move move = plan.plan().moves().get(member);
      staged(member, move, start).ifPresent(staged::add);
      landed(member, move, start).ifPresent(landing::add);
      start += move.bytes();
    }
    Bundles bundles = plan.everywhere();
    int none = HostMove.NONE;
    return new Slice(
        new HostMove(
            index,
            none,
            bundles.bytes(index),
            bundles.chunkBytes(index),
            none,
            null,
            null,
            none,
            none),
        staged.size() == members.size() ? staged : List.of(),
        landing.size() == members.size() ? landing : List.of(),
        plan.plan().moves());
  }

  private Optional<Piece> staged(int index, Move move, long start) {
    Sharding layout = tensor(move).src();
    for (int device = 0; device < layout.mesh().size(); device++) {
      Box tile = layout.tile(tensor(move).tensor().shape(), device);
      int stager = tile.contains(move.box()) ? plan.stagerOf(device) : HostMove.NONE;
      if (stager != HostMove.NONE && plan.staging().get(stager).has(move.tensor(), tile)) {
        long offset = plan.staging().get(stager).offset(move.tensor(), tile);
        return Optional.of(
            new Piece(
                index, stager, place(move, offset, tile), start, move.bytes(), List.of(), false));
      }
    }
    return Optional.empty();
  }

  private Optional<Piece> landed(int index, Move move, long start) {
    Sharding layout = tensor(move).dst();
    for (int device = 0; device < layout.mesh().size(); device++) {
      Box tile = layout.tile(tensor(move).tensor().shape(), device);
      if (layout.mesh().hostOf(device).equals(plan.host()) && tile.contains(move.box())) {
        long offset = plan.landing().offset(move.tensor(), tile);
        return Optional.of(
            filled(
                index,
                move,
                tile,
                new Piece(
                    index,
                    HostMove.NONE,
                    place(move, offset, tile),
                    start,
                    move.bytes(),
                    List.of(),
                    false)));
      }
    }
    return Optional.empty();
  }

  /** The same piece with what fills it. */
  private Piece filled(int index, Move move, Box tile, Piece piece) {
    HostMove itself = plan.incoming(plan.everywhere().head(index));
    if (itself != null) {
      return new Piece(
          index, piece.stager, piece.place, piece.start, piece.bytes, List.of(itself), false);
    }
    List<HostMove> brought = new ArrayList<>();
    boolean copied = false;
    for (int i = 0; i < plan.plan().moves().size(); i++) {
      Move other = plan.plan().moves().get(i);
      if (other.tensor() == move.tensor()
          && other.box().intersect(move.box()).isPresent()
          && lands(other, tile)) {
        HostMove incoming = plan.incoming(plan.everywhere().head(i));
        if (incoming == null) {
          copied = true;
        } else {
          brought.add(incoming);
        }
      }
    }
    return new Piece(index, piece.stager, piece.place, piece.start, piece.bytes, brought, copied);
  }

  /** Whether a move lands in this tile here. */
  private boolean lands(Move move, Box tile) {
    Sharding layout = tensor(move).dst();
    return move.receivers().stream()
        .anyMatch(
            device ->
                layout.mesh().hostOf(device).equals(plan.host())
                    && layout.tile(tensor(move).tensor().shape(), device).equals(tile));
  }

  private TilePlace place(Move move, long offset, Box tile) {
    return new TilePlace(
        offset, TileLayout.of(tile, move.box(), tensor(move).tensor().dtype().bytes()));
  }

  private TensorReshard tensor(Move move) {
    return plan.plan().request().tensors().get(move.tensor());
  }
}
