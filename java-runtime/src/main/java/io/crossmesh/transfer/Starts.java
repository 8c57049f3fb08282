package io.crossmesh.transfer;

import java.util.Arrays;
import java.util.List;

/**
 * How far each source host has come, at a destination host. Source hosts begin steps in ascending
 * order: one that has begun a later step will never begin an earlier one that it left out.
 */
final class Starts {
  private final List<String> sources;
  private final long[] last;

  Starts(List<String> sources) {
    this.sources = sources;
    this.last = new long[sources.size()];
    Arrays.fill(last, Long.MIN_VALUE);
  }

  List<String> sources() {
    return sources;
  }

  int size() {
    return last.length;
  }

  /** Notes that a host begins a step; its index, or -1 if it is no source or goes backwards. */
  int begin(String host, long step) {
    int source = sources.indexOf(host);
    if (source < 0 || step <= last[source]) {
      return -1;
    }
    last[source] = step;
    return source;
  }

  /** The greatest step that a source host has begun. */
  long last(int source) {
    return last[source];
  }

  /** The lowest of the greatest steps: no source host will begin it or one before it again. */
  long all() {
    long lowest = Long.MAX_VALUE;
    for (long step : last) {
      lowest = Math.min(lowest, step);
    }
    return lowest;
  }

  /** Why a step that a source host has left out is over. */
  String skipped(int source) {
    return "source host '%s' began step %d without it".formatted(sources.get(source), last[source]);
  }

  /** Whether every source host that is not lost has begun a step. */
  boolean begun(SinkStep step, Losses losses) {
    return without(step).stream().allMatch(losses::has);
  }

  /** Whether a source host that is there will never begin a step, or none has begun it. */
  boolean isHopeless(SinkStep step, Losses losses) {
    boolean refused =
        without(step).stream().anyMatch(host -> losses.silent(host) && !losses.has(host));
    return refused || (step.started().isEmpty() && allSilent(losses));
  }

  /** Whether no source host will begin a step any more. */
  boolean allSilent(Losses losses) {
    return sources.stream().allMatch(losses::silent);
  }

  /** The source hosts that have not begun a step. */
  List<String> without(SinkStep step) {
    return sources.stream().filter(host -> !step.started().get(sources.indexOf(host))).toList();
  }
}
