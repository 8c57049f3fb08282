package io.crossmesh.agent;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/**
 * An agent's own description, known only when all its doors are open; whoever comes through one of
 * them earlier waits for the others.
 */
final class PublishedInfo {
  private static final long WAIT_SECONDS_MAX = 10;

  private final CompletableFuture<AgentInfo> info = new CompletableFuture<>();

  void set(AgentInfo agent) {
    info.complete(agent);
  }

  AgentInfo get() {
    return info.copy().orTimeout(WAIT_SECONDS_MAX, TimeUnit.SECONDS).join();
  }

  ObjectNode publicly() {
    return get().publicly();
  }
}
