package io.crossmesh.transfer;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The other agents, by host, by epoch and by the number the transport knows them by. A host has one
 * life at a time; numbers are never used twice, so nothing of an earlier life is taken for a later
 * one's.
 */
final class Peers {
  private final SortedMap<String, Peer> byHost = new TreeMap<>();
  private final Map<Integer, Peer> byIndex = new HashMap<>();
  private Peer[] present = new Peer[0];
  private int next;

  /** The present life of a host, lost or not. */
  @Nullable Peer ofHost(String host) {
    return byHost.get(host);
  }

  /** The connected peer with this epoch. */
  @Nullable Peer ofEpoch(long epoch) {
    // Asked for every message: a walk over an array boxes nothing, and clusters are small.
    for (Peer peer : present) {
      if (peer.spec().epoch() == epoch && peer.connected()) {
        return peer;
      }
    }
    return null;
  }

  @Nullable Peer ofIndex(int index) {
    return byIndex.get(index);
  }

  List<Peer> all() {
    return new ArrayList<>(byHost.values());
  }

  List<Peer> connected() {
    return byHost.values().stream().filter(Peer::connected).toList();
  }

  int nextIndex() {
    return next++;
  }

  void add(Peer peer) {
    byHost.put(peer.host(), peer);
    byIndex.put(peer.index(), peer);
    present = byHost.values().toArray(Peer[]::new);
  }

  void remove(Peer peer) {
    byHost.remove(peer.host(), peer);
    byIndex.remove(peer.index());
    present = byHost.values().toArray(Peer[]::new);
  }
}
