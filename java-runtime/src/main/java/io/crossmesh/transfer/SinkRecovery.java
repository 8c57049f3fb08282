package io.crossmesh.transfer;

import java.util.HashSet;
import java.util.Set;
import java.util.TreeMap;

/**
 * What the destination side of a host does about lost hosts: it asks others for the chunks that
 * were to come from them, and from hosts that have given a step up, and gives up itself what cannot
 * be completed.
 */
final class SinkRecovery {
  private final Channel channel;
  private final HostPlan plan;
  private final SinkSteps steps;
  private final SinkChunks chunks;
  private final Starts starts;

  /** Hosts that have given up steps which are not over here. */
  private final TreeMap<Long, Set<String>> givenUp = new TreeMap<>();

  /** Hosts that take no more part. */
  private final Set<String> over = new HashSet<>();

  SinkRecovery(Channel channel, HostPlan plan, SinkSteps steps, SinkChunks chunks, Starts starts) {
    this.channel = channel;
    this.plan = plan;
    this.steps = steps;
    this.chunks = chunks;
    this.starts = starts;
  }

  /** A host of the channel is lost. */
  void lose(String host) {
    chunks.lose(host);
    for (SinkStep step : steps.granted()) {
      if (!step.over()) {
        chunks.fetch(step, host);
        steps.whole(step);
      }
    }
    judgeAll();
  }

  /** A host will not have a step; this one may get it from others. */
  void givenUp(String host, long number) {
    if (!plan.upstream().contains(host) || steps.isPast(number)) {
      return;
    }
    givenUp.computeIfAbsent(number, s -> new HashSet<>()).add(host);
    SinkStep step = steps.granted(number);
    if (step != null) {
      chunks.fetch(step, host);
    }
  }

  /** A host takes no more part: what was to come from it may come from others. */
  void over(String host) {
    if (plan.upstream().contains(host) && over.add(host)) {
      for (SinkStep step : steps.granted()) {
        if (!step.over()) {
          chunks.fetch(step, host);
        }
      }
    }
  }

  /** A step is granted: what it would get from hosts that are lost comes from others. */
  void granted(SinkStep step) {
    if (channel.losses().none() && givenUp.isEmpty() && over.isEmpty()) {
      return;
    }
    Set<String> without = givenUp.getOrDefault(step.step(), Set.of());
    for (String host : plan.upstream()) {
      boolean gone = channel.losses().has(host) || over.contains(host) || without.contains(host);
      if (!step.over() && gone) {
        chunks.fetch(step, host);
      }
    }
  }

  /** Gives up the steps that not every source host has begun and one never will. */
  void judgeAll() {
    steps.all().forEach(this::judge);
  }

  /** Gives a step up if some source host will never begin it. */
  void judge(SinkStep step) {
    if (channel.ending()
        && !step.over()
        && !step.doneSent()
        && starts.isHopeless(step, channel.losses())) {
      channel.recovery().giveUp(step.step(), channel.losses().failure());
    }
  }

  /** Whether no source host will begin a step any more. */
  boolean silent() {
    return starts.allSilent(channel.losses());
  }

  void forget(long step) {
    givenUp.remove(step);
  }
}
