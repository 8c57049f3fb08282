package io.crossmesh.agent;

import io.crossmesh.host.Nics;
import java.util.Optional;

/**
 * Waits for the NIC of an agent. UCX takes stock of the NICs once, when it starts: over one that
 * has no carrier then, no peer is ever reached.
 */
final class Carrier {
  private static final long LOOK_MILLIS = 250;

  private Carrier() {}

  /** False if the process shall end before the NIC works. */
  static boolean await(AgentConfig config, Lifetime lifetime) throws InterruptedException {
    Nics.requireLoopback();
    Optional<String> idle = Nics.idle(config.bind());
    if (idle.isEmpty() || config.transport() != AgentConfig.TransportKind.UCX) {
      return true;
    }
    PeopleLog.warn(
        "NIC '%s' with the address --bind %s has no carrier; agent '%s' starts when it has one"
            .formatted(idle.get(), config.bind(), config.name()));
    while (Nics.idle(config.bind()).isPresent()) {
      if (lifetime.endsWithin(LOOK_MILLIS)) {
        return false;
      }
    }
    PeopleLog.warn("NIC '%s' has a carrier".formatted(idle.get()));
    return true;
  }
}
