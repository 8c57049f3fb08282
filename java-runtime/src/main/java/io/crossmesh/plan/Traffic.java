package io.crossmesh.plan;

import java.util.List;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;

/**
 * Bytes over the NICs of each host.
 *
 * @param sent by host
 * @param received by host
 */
record Traffic(SortedMap<String, Long> sent, SortedMap<String, Long> received) {
  static Traffic of(List<Move> moves, SortedSet<String> hosts) {
    SortedMap<String, Long> sent = new TreeMap<>();
    SortedMap<String, Long> received = new TreeMap<>();
    for (String host : hosts) {
      sent.put(host, 0L);
      received.put(host, 0L);
    }
    for (Move move : moves) {
      for (int hop = 0; hop + 1 < move.route().size(); hop++) {
        sent.merge(move.route().get(hop), move.bytes(), Long::sum);
        received.merge(move.route().get(hop + 1), move.bytes(), Long::sum);
      }
    }
    return new Traffic(sent, received);
  }
}
