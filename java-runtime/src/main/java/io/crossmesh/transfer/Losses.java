package io.crossmesh.transfer;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * The hosts that a channel has lost. With the first that had not closed its end the channel begins
 * to end: every host says so to all others, begins no more steps, and ends when it has none.
 */
final class Losses {
  private final Map<String, Failure> lost = new LinkedHashMap<>();
  private final Set<String> told = new HashSet<>();
  private @Nullable Failure ending;

  /** Notes a loss; false when it is known. */
  boolean add(String host, Failure why) {
    return lost.putIfAbsent(host, why) == null;
  }

  boolean has(String host) {
    return !lost.isEmpty() && lost.containsKey(host);
  }

  boolean none() {
    return lost.isEmpty();
  }

  /** Notes that the channel ends for this reason; false when it was ending. */
  boolean end(Failure why) {
    if (ending != null) {
      return false;
    }
    ending = why;
    return true;
  }

  boolean ending() {
    return ending != null;
  }

  /** Why the channel ends, if it does. */
  @Nullable Failure why() {
    return ending;
  }

  /** The failure of a step that cannot be completed: the first loss. */
  Failure failure() {
    return lost.values().iterator().next();
  }

  /** A host says that it begins no more steps. */
  void tell(String host) {
    told.add(host);
  }

  /** Whether a host has said that it begins no more steps, or cannot. */
  boolean silent(String host) {
    return told.contains(host) || lost.containsKey(host);
  }
}
