package io.crossmesh.flight;

import io.crossmesh.memory.Arena;
import io.crossmesh.memory.Slot;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.OpenInfo;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Receives this host's tiles and keeps them where they landed: the set stays with the tensor until
 * it is dropped. Only when the arena has no other set for the channel are they copied.
 */
final class DestinationPart extends Part {
  private final TensorMeta target;
  private final Arena arena;
  private volatile @Nullable OpenInfo opened;

  DestinationPart(TensorMeta target, Arena arena, Executor executor) {
    super(executor);
    this.target = target;
    this.arena = arena;
  }

  @Override
  void opened(OpenInfo info, ChannelHandle channel) {
    opened = info;
    channel.recv(STEP);
  }

  @Override
  public void onReceived(long step, long receipt, long base, boolean mustCopy) {
    elsewhere(
        channel -> {
          OpenInfo info = opened;
          if (info == null) {
            throw new IllegalStateException("received before open");
          }
          List<OpenInfo.Tile> tiles =
              info.tiles().stream().filter(tile -> tile.bytes() > 0).toList();
          if (mustCopy) {
            copy(tiles, base, () -> channel.release(receipt));
          } else {
            keep(tiles, base, () -> channel.release(receipt));
          }
        });
  }

  private void keep(List<OpenInfo.Tile> tiles, long base, Runnable release) {
    AtomicInteger left = new AtomicInteger(tiles.size());
    if (tiles.isEmpty()) {
      release.run();
    }
    Runnable one =
        () -> {
          if (left.decrementAndGet() == 0) {
            release.run();
          }
        };
    finish(
        tiles.stream().map(tile -> new StoredTile(tile.box(), landed(tile, base), one)).toList());
  }

  private void copy(List<OpenInfo.Tile> tiles, long base, Runnable release) {
    List<StoredTile> copies = new ArrayList<>();
    Consumer<OpenInfo.Tile> copy =
        tile -> {
          Slot slot =
              arena.allocate(tile.bytes(), "tensor '%s' of a reshard".formatted(target.name()));
          copies.add(new StoredTile(tile.box(), slot.segment(), slot::close));
          slot.segment().copyFrom(landed(tile, base));
        };
    boolean complete = false;
    try {
      tiles.forEach(copy);
      complete = true;
    } finally {
      release.run();
      if (!complete) {
        copies.forEach(StoredTile::close);
      }
    }
    finish(copies);
  }

  private MemorySegment landed(OpenInfo.Tile tile, long base) {
    return arena.segment().asSlice(base + tile.offset(), tile.bytes());
  }

  @Override
  public void onDelivered(long step) {
    throw new IllegalStateException("a destination delivers nothing");
  }
}
