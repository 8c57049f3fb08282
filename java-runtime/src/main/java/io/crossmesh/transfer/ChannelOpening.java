package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.plan.Plan;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * From claims to an open channel: each host plans by itself, reserves its memory and tells the
 * others its digest; when all digests are there and equal, the channel is open. Not a byte moves
 * before. What takes long is done beside the owner thread and comes back as a command.
 */
final class ChannelOpening {
  private static final String TOO_LARGE =
      "the plan needs more Java heap than the agent has; open several channels with fewer tensors"
          + " each, or start the agent with a larger -Xmx.";

  private final Node node;
  private final Channel channel;
  private final Binding binding;
  private final Map<String, String> digests = new TreeMap<>();
  private @Nullable String own;

  ChannelOpening(Node node, Channel channel, Binding binding) {
    this.node = node;
    this.channel = channel;
    this.binding = binding;
  }

  /** Begins to plan, where the engine was told to. */
  void begin() {
    try {
      node.options().planning().accept(this::plan);
    } catch (RuntimeException e) {
      failed(e);
    }
  }

  private void plan() {
    try {
      Plan plan = node.options().planner().apply(binding.request());
      HostPlan part = channel.part(plan);
      node.options().reserving().accept(() -> prepare(part));
    } catch (RuntimeException e) {
      node.commands().accept(() -> failed(e));
    } catch (OutOfMemoryError e) {
      node.commands().accept(() -> failed(new CrossmeshException(Code.LAYOUT, TOO_LARGE)));
    }
  }

  private void prepare(HostPlan part) {
    try {
      Preparation prepared = channel.prepare(part);
      node.commands().accept(() -> prepared(prepared));
    } catch (RuntimeException e) {
      node.commands().accept(() -> failed(e));
    }
  }

  private void failed(RuntimeException e) {
    Code code = e instanceof CrossmeshException known ? known.code() : Code.INTERNAL;
    channel.fail(
        new Failure(
            code,
            "Host '%s' cannot open %s: %s"
                .formatted(node.host(), channel.what(), String.valueOf(e.getMessage()))),
        true);
  }

  private void prepared(Preparation prepared) {
    if (channel.ended()) {
      prepared.memory().close();
      return;
    }
    try {
      channel.take(prepared);
    } catch (RuntimeException e) {
      prepared.memory().close();
      failed(e);
      return;
    }
    Plan plan = prepared.plan().plan();
    own = plan.digest();
    digests.put(node.host(), plan.digest());
    for (String host : binding.hosts()) {
      if (!host.equals(node.host())) {
        announce(host);
      }
    }
    check();
  }

  /** Tells one host the digest, if there is one yet. */
  void announce(String host) {
    String digest = own;
    if (digest != null && binding.hosts().contains(host)) {
      ControlCodec.Ready ready = new ControlCodec.Ready(digest, channel.passes().of(host));
      node.outbox().send(host, MessageKind.READY, channel.id(), 0, ControlCodec.ready(ready));
    }
  }

  /** Another host has planned and reserved. */
  void ready(String host, String digest) {
    digests.put(host, digest);
    check();
  }

  private void check() {
    String mine = own;
    if (mine == null || channel.ended()) {
      return;
    }
    for (Map.Entry<String, String> other : digests.entrySet()) {
      if (!other.getValue().equals(mine)) {
        channel.fail(
            new Failure(
                Code.PLAN_MISMATCH,
                ("Hosts '%s' and '%s' made different plans for %s: digest %s and %s. Install the"
                        + " same version of crossmesh on every host.")
                    .formatted(
                        node.host(), other.getKey(), channel.what(), mine, other.getValue())),
            true);
        return;
      }
    }
    if (digests.keySet().containsAll(binding.hosts())) {
      channel.open();
    }
  }

  /** The hosts that are not ready. */
  List<String> lacks() {
    return binding.hosts().stream().filter(host -> !digests.containsKey(host)).toList();
  }
}
