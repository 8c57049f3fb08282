package io.crossmesh.flight;

import io.crossmesh.memory.Arena;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.OpenInfo;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.Executor;

/** Lays this host's tiles into a staging set and sends it. */
final class SourcePart extends Part {
  private final TensorMeta source;
  private final TensorStore store;
  private final Arena arena;

  SourcePart(TensorMeta source, TensorStore store, Arena arena, Executor executor) {
    super(executor);
    this.source = source;
    this.store = store;
    this.arena = arena;
  }

  @Override
  void opened(OpenInfo info, ChannelHandle channel) {
    long base = info.stagingSets().getFirst();
    for (OpenInfo.Tile tile : info.tiles()) {
      try (StoredTile stored =
          store
              .tile(source.name(), tile.box())
              .orElseThrow(
                  () ->
                      Missing.notFound(
                          "the tile %s of %s was dropped; put it again."
                              .formatted(tile.box(), source.describe())))) {
        MemorySegment.copy(stored.memory(), 0, arena.segment(), base + tile.offset(), tile.bytes());
      }
    }
    channel.send(STEP, 0);
  }

  @Override
  public void onDelivered(long step) {
    finish(List.of());
  }

  @Override
  public void onReceived(long step, long receipt, long base, boolean mustCopy) {
    throw new IllegalStateException("a source receives nothing");
  }
}
