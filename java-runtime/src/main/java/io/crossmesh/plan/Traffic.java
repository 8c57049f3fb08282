package io.crossmesh.plan;

import java.util.HashMap;
import java.util.IdentityHashMap;
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
    // Moves by the hundred thousand share a few routes.
    IdentityHashMap<List<String>, long[]> byRoute = new IdentityHashMap<>();
    for (Move move : moves) {
      byRoute.computeIfAbsent(move.route(), route -> new long[1])[0] += move.bytes();
    }
    byRoute.forEach(
        (route, moved) -> {
          for (int hop = 0; hop + 1 < route.size(); hop++) {
            bytes.computeIfAbsent(route.get(hop), host -> new long[2])[0] += moved[0];
            bytes.computeIfAbsent(route.get(hop + 1), host -> new long[2])[1] += moved[0];
          }
        });
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
