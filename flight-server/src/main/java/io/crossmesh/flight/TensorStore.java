package io.crossmesh.flight;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.Box;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * The tiles of logical tensors that lie on this host. Bytes are bounded by the arena, which refuses
 * what it cannot hold; the number of tensors is bounded here. Replicas of one host share one tile.
 */
final class TensorStore implements AutoCloseable {
  static final int TENSORS_MAX = 16_384;

  private final String host;
  private final Map<String, Entry> entries = new TreeMap<>();
  private boolean closed;

  private record Entry(TensorMeta meta, Map<Box, StoredTile> tiles) {}

  TensorStore(String host) {
    this.host = host;
  }

  /**
   * Puts tiles of one tensor, all or none, replacing those that lie there.
   *
   * @throws RuntimeException if the tensor is there as something else; the tiles are closed then
   */
  void put(TensorMeta meta, List<StoredTile> tiles) {
    List<StoredTile> unused = new ArrayList<>(tiles);
    try {
      synchronized (this) {
        Entry entry = entry(meta);
        unused.clear();
        for (StoredTile tile : tiles) {
          StoredTile old = entry.tiles().put(tile.box(), tile);
          if (old != null) {
            unused.add(old);
          }
        }
      }
    } finally {
      unused.forEach(StoredTile::close);
    }
  }

  /** Checks that tiles of this tensor could be put; for callers with much to do before. */
  synchronized void check(TensorMeta meta) {
    Entry there = entries.get(meta.name());
    if (there != null && !there.meta().equals(meta)) {
      throw Missing.exists(
          "%s is on host '%s' already, as %s; drop it first, or choose another name."
              .formatted(meta.describe(), host, there.meta().describe()));
    }
  }

  private Entry entry(TensorMeta meta) {
    if (closed) {
      throw new CrossmeshException(Code.AGENT_UNAVAILABLE, "the agent ends; start it again.");
    }
    check(meta);
    Entry there = entries.get(meta.name());
    if (there != null) {
      return there;
    }
    if (entries.size() >= TENSORS_MAX) {
      throw new CrossmeshException(
          Code.ARENA_FULL,
          "host '%s' holds %d tensors, the most it may; drop some.".formatted(host, TENSORS_MAX));
    }
    Entry entry = new Entry(meta, new HashMap<>());
    entries.put(meta.name(), entry);
    return entry;
  }

  /** What is known here of a tensor: nothing, if no tile of it was put. */
  synchronized Optional<TensorMeta> meta(String name) {
    return Optional.ofNullable(entries.get(name)).map(Entry::meta);
  }

  /** A tile, retained for the caller, if it lies here. */
  synchronized Optional<StoredTile> tile(String name, Box box) {
    Entry entry = entries.get(name);
    return Optional.ofNullable(entry == null ? null : entry.tiles().get(box))
        .filter(StoredTile::retain);
  }

  synchronized List<TensorMeta> list() {
    return entries.values().stream().map(Entry::meta).toList();
  }

  /** Which tiles of a tensor lie here. */
  synchronized List<Box> boxes(String name) {
    Entry entry = entries.get(name);
    return entry == null ? List.of() : List.copyOf(entry.tiles().keySet());
  }

  /** Removes a tensor's tiles of this host; false when there were none. */
  boolean drop(String name) {
    Entry entry;
    synchronized (this) {
      entry = entries.remove(name);
    }
    if (entry == null) {
      return false;
    }
    entry.tiles().values().forEach(StoredTile::close);
    return true;
  }

  @Override
  public void close() {
    List<String> names;
    synchronized (this) {
      closed = true;
      names = List.copyOf(entries.keySet());
    }
    names.forEach(this::drop);
  }
}
