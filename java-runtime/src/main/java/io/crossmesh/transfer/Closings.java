package io.crossmesh.transfer;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Who has closed its end, and after which step the channel therefore ends: a participant that
 * closes says the last step it takes part in, and what comes after the least of those is cancelled.
 */
final class Closings {
  private final ChannelText text;
  private final Map<String, Integer> openClaims = new HashMap<>();
  private final Set<Claim.Id> closed = new HashSet<>();
  private long horizon = Long.MAX_VALUE;
  private @Nullable Failure failure;

  Closings(Binding binding, ChannelText text) {
    this.text = text;
    binding.claims().forEach(claim -> openClaims.merge(claim.host(), 1, Integer::sum));
  }

  /** Notes a closing; whether the horizon came closer. */
  boolean add(String host, Claim.Id claim, long lastStep) {
    if (!closed.add(claim)) {
      return false;
    }
    openClaims.merge(host, -1, Integer::sum);
    if (lastStep >= horizon && failure != null) {
      return false;
    }
    horizon = lastStep;
    failure = text.closed(host, lastStep);
    return true;
  }

  /** Steps after this one are over. */
  long horizon() {
    return horizon;
  }

  /** Why a step is over by a closing, if it is. */
  @Nullable Failure over(long step) {
    return step > horizon ? failure : null;
  }

  @Nullable Failure failure() {
    return failure;
  }

  /** Whether every participant of a host has closed. */
  boolean closed(String host) {
    return openClaims.getOrDefault(host, 0) <= 0;
  }
}
