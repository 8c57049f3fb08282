package io.crossmesh.plan;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
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
    // By host: bytes out, bytes in.
    Map<String, long[]> bytes = new HashMap<>();
    hosts.forEach(host -> bytes.put(host, new long[2]));
    for (Move move : moves) {
      for (int hop = 0; hop + 1 < move.route().size(); hop++) {
        bytes.computeIfAbsent(move.route().get(hop), host -> new long[2])[0] += move.bytes();
        bytes.computeIfAbsent(move.route().get(hop + 1), host -> new long[2])[1] += move.bytes();
      }
    }
    SortedMap<String, Long> sent = new TreeMap<>();
    SortedMap<String, Long> received = new TreeMap<>();
    bytes.forEach(
        (host, counted) -> {
          sent.put(host, counted[0]);
          received.put(host, counted[1]);
        });
    return new Traffic(sent, received);
  }
}
