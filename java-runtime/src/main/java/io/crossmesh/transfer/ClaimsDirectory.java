package io.crossmesh.transfer;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The claims of all hosts that belong to no channel yet, by name. Claims come more than once, as a
 * host repeats them to a peer that joins, and they may come after they were withdrawn: what was
 * bound or withdrawn is remembered for long enough to be ignored.
 */
final class ClaimsDirectory {
  private static final int SPENT_MAX = 1 << 14;

  /** Most open claims of one name; more are a mistake of the programs, not of a pipeline. */
  private static final int PER_NAME_MAX = 1 << 12;

  /** Most open names. */
  private static final int NAMES_MAX = 1 << 16;

  private final Map<String, List<Claim>> open = new LinkedHashMap<>();
  private final Map<Claim.Id, Boolean> spent =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Claim.Id, Boolean> eldest) {
          return size() > SPENT_MAX;
        }
      };

  /** Adds a claim; false when it is known, spent or one too many. */
  boolean add(Claim claim) {
    if (spent.containsKey(claim.id())
        || (open.size() >= NAMES_MAX && !open.containsKey(claim.name()))) {
      return false;
    }
    List<Claim> claims = open.computeIfAbsent(claim.name(), n -> new ArrayList<>());
    boolean known = claims.stream().anyMatch(c -> c.id().equals(claim.id()));
    return !known && claims.size() < PER_NAME_MAX && claims.add(claim);
  }

  /** What the claims of a name amount to now. */
  Matcher.Match match(String name) {
    return Matcher.match(name, open.getOrDefault(name, List.of()));
  }

  /** Takes out a claim that is bound or void. */
  void spend(String name, Claim.Id id) {
    spent.put(id, true);
    List<Claim> claims = open.get(name);
    if (claims != null) {
      claims.removeIf(claim -> claim.id().equals(id));
      if (claims.isEmpty()) {
        open.remove(name);
      }
    }
  }

  /** Forgets the claims of a lost life of a host; the names they were of. */
  List<String> removeEpoch(long epoch) {
    List<String> names = new ArrayList<>();
    for (Map.Entry<String, List<Claim>> entry : open.entrySet()) {
      if (entry.getValue().removeIf(claim -> claim.id().epoch() == epoch)) {
        names.add(entry.getKey());
      }
    }
    open.values().removeIf(List::isEmpty);
    return names;
  }
}
