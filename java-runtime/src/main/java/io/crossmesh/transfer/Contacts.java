package io.crossmesh.transfer;

import java.util.List;
import java.util.Optional;

/**
 * What an agent knows of the way to the others, for messages about channels that do not open.
 * Thread-safe; the owner thread asks, so nothing here blocks.
 */
public interface Contacts {
  /** The other hosts that the agent was told of, or that asked for it. */
  List<String> hosts();

  /** Why the agent does not reach a host, and the remedy, as a clause; empty if it does. */
  Optional<String> trouble(String host);

  /** An engine by itself: it knows of no trouble. */
  static Contacts none() {
    return new Contacts() {
      @Override
      public List<String> hosts() {
        return List.of();
      }

      @Override
      public Optional<String> trouble(String host) {
        return Optional.empty();
      }
    };
  }
}
