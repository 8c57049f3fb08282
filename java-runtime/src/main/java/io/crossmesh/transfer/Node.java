package io.crossmesh.transfer;

import io.crossmesh.memory.Arena;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.PlanRequest;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.function.Consumer;
import java.util.function.Function;

/** What all channels of one agent share. Everything here belongs to the owner thread. */
final class Node {
  private final String host;
  private final long epoch;
  private final Clock clock;
  private final Arena arena;
  private final MemorySegment memory;
  private final EngineOptions options;
  private final Consumer<Runnable> commands;
  private final Peers peers;
  private final Outbox outbox;
  private final Passes.Book passes;
  private final Timers timers = new Timers();
  private final ArrayDeque<Channel> runnable = new ArrayDeque<>();
  private final Checksums checksums = new Checksums();
  private long dropped;
  private long damaged;

  Node(
      String host,
      long epoch,
      Clock clock,
      Arena arena,
      EngineOptions options,
      Consumer<Runnable> commands,
      Peers peers,
      Passes.Book passes,
      Outbox outbox) {
    this.host = host;
    this.epoch = epoch;
    this.clock = clock;
    this.arena = arena;
    this.memory = arena.segment();
    this.options = options;
    this.commands = commands;
    this.peers = peers;
    this.passes = passes;
    this.outbox = outbox;
  }

  String host() {
    return host;
  }

  long epoch() {
    return epoch;
  }

  long now() {
    return clock.nanos();
  }

  Arena arena() {
    return arena;
  }

  /** The arena's memory, whole. */
  MemorySegment memory() {
    return memory;
  }

  EngineOptions options() {
    return options;
  }

  Function<PlanRequest, Plan> planner() {
    return options.planner();
  }

  /** Runs something on the owner thread, later; thread-safe. */
  Consumer<Runnable> commands() {
    return commands;
  }

  Peers peers() {
    return peers;
  }

  Outbox outbox() {
    return outbox;
  }

  /** What messages about channels must show. */
  Passes.Book passes() {
    return passes;
  }

  Timers timers() {
    return timers;
  }

  /** Channels that have chunks to send or to copy. */
  ArrayDeque<Channel> runnable() {
    return runnable;
  }

  Checksums checksums() {
    return checksums;
  }

  /** Counts a chunk that arrived damaged. */
  void damage() {
    damaged++;
  }

  long damaged() {
    return damaged;
  }

  /** Counts a message that was refused. */
  void drop() {
    dropped++;
  }

  long dropped() {
    return dropped;
  }
}
