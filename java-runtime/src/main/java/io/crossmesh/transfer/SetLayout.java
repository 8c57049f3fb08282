package io.crossmesh.transfer;

import io.crossmesh.memory.Arena;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Where tiles lie in a set: one arena slot that holds all tiles of a step at offsets that are
 * multiples of 64. Devices whose tiles of a tensor are the same box share one tile.
 */
final class SetLayout {
  private record Key(int tensor, Box box) {}

  private static final class Place {
    private final long offset;
    private final long bytes;
    private final List<Integer> devices = new ArrayList<>();

    Place(long offset, long bytes) {
      this.offset = offset;
      this.bytes = bytes;
    }
  }

  private final Map<Key, Place> places = new HashMap<>();
  private final List<Key> order = new ArrayList<>();
  private long bytes;

  /** Makes room for the tile of a device. */
  void add(int tensor, TensorSpec spec, Sharding layout, int device) {
    Key key = new Key(tensor, layout.tile(spec.shape(), device));
    Place place = places.get(key);
    if (place == null) {
      long size = key.box.volume() * spec.dtype().bytes();
      place = new Place(bytes, size);
      places.put(key, place);
      order.add(key);
      bytes =
          Math.addExact(bytes, Math.ceilDiv(size, Arena.ALIGNMENT_BYTES) * Arena.ALIGNMENT_BYTES);
    }
    if (!place.devices.contains(device)) {
      place.devices.add(device);
    }
  }

  boolean has(int tensor, Box box) {
    return places.containsKey(new Key(tensor, box));
  }

  /** Where the tile of this box begins in a set. */
  long offset(int tensor, Box box) {
    Place place = places.get(new Key(tensor, box));
    if (place == null) {
      throw new IllegalStateException("tensor " + tensor + " has no tile " + box + " in this set");
    }
    return place.offset;
  }

  /** Size of a set in bytes. */
  long bytes() {
    return bytes;
  }

  /** The tiles that some of these devices hold, in the order in which they were added. */
  List<OpenInfo.Tile> tilesOf(List<Integer> devices) {
    List<OpenInfo.Tile> tiles = new ArrayList<>();
    for (Key key : order) {
      Place place = places.get(key);
      if (place == null) {
        continue;
      }
      List<Integer> held = place.devices.stream().filter(devices::contains).sorted().toList();
      if (!held.isEmpty()) {
        tiles.add(new OpenInfo.Tile(key.tensor, held, key.box, place.offset, place.bytes));
      }
    }
    return tiles;
  }
}
