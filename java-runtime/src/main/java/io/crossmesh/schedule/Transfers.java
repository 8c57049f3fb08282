package io.crossmesh.schedule;

import java.util.Arrays;
import java.util.List;

/**
 * Numbers for transfers. One between neighbouring virtual stages has the number of the operation
 * that consumes it; behind those come the ways of skips, activations before gradients, each with a
 * transfer for every micro-batch. Queues are numbered alike: two for each boundary, two for each
 * skip.
 */
final class Transfers {
  private static final int WAYS = 2;
  private static final int[] NONE = {};

  private final Tasks tasks;
  private final Timing timing;
  private final List<Timing.Skip> skips;
  private final int microbatches;
  private final int chain;
  private final int chainQueues;
  private final int[][] out;
  private final int[][] in;

  Transfers(Tasks tasks, Timing timing) {
    PipelineShape shape = tasks.shape();
    this.tasks = tasks;
    this.timing = timing;
    this.skips = timing.skips();
    this.microbatches = shape.microbatches();
    this.chain = tasks.transfers();
    this.chainQueues = WAYS * shape.boundaries();
    this.out = new int[tasks.groups()][];
    this.in = new int[tasks.groups()][];
    Arrays.fill(out, NONE);
    Arrays.fill(in, NONE);
    for (int way = 0; way < WAYS * skips.size(); way++) {
      int first = chain + way * microbatches;
      append(out, tasks.group(producer(first)), first);
      append(in, tasks.group(consumer(first)), first);
    }
  }

  private static void append(int[][] lists, int group, int first) {
    int[] longer = Arrays.copyOf(lists[group], lists[group].length + 1);
    longer[longer.length - 1] = first;
    lists[group] = longer;
  }

  int count() {
    return chain + WAYS * skips.size() * microbatches;
  }

  int queues() {
    return chainQueues + WAYS * skips.size();
  }

  /** The queue that carries a transfer. */
  int queue(int transfer) {
    return transfer < chain ? tasks.queue(transfer) : chainQueues + way(transfer);
  }

  /** The stage that sends what a queue carries. */
  int sender(int queue) {
    return end(queue, queue % WAYS == 0);
  }

  /** The stage that receives it. */
  int receiver(int queue) {
    return end(queue, queue % WAYS == 1);
  }

  private int end(int queue, boolean lower) {
    PipelineShape shape = tasks.shape();
    if (queue < chainQueues) {
      return (queue / WAYS + (lower ? 0 : 1)) % shape.stages();
    }
    Timing.Skip skip = skips.get((queue - chainQueues) / WAYS);
    return shape.stageOf(lower ? skip.from() : skip.to());
  }

  /** The operation that waits for a transfer. */
  int consumer(int transfer) {
    return transfer < chain ? transfer : operation(transfer, isBack(transfer));
  }

  /** The operation that makes what is transferred. */
  int producer(int transfer) {
    return transfer < chain ? tasks.producer(transfer) : operation(transfer, !isBack(transfer));
  }

  /** The operation at one end of a skip's transfer. */
  private int operation(int transfer, boolean lower) {
    Timing.Skip skip = skips.get(way(transfer) / WAYS);
    OpKind kind = isBack(transfer) ? OpKind.BACKWARD : OpKind.FORWARD;
    int microbatch = (transfer - chain) % microbatches;
    return tasks.of(kind, lower ? skip.from() : skip.to(), microbatch);
  }

  private int way(int transfer) {
    return (transfer - chain) / microbatches;
  }

  private boolean isBack(int transfer) {
    return way(transfer) % WAYS == 1;
  }

  /** What a transfer takes. */
  long ticks(int transfer) {
    if (transfer < chain) {
      int part = tasks.virtualStage(transfer);
      return tasks.isForward(transfer) ? timing.sendForward(part - 1) : timing.sendBackward(part);
    }
    Timing.Skip skip = skips.get(way(transfer) / WAYS);
    return isBack(transfer) ? skip.sendBackward() : skip.sendForward();
  }

  /** For each skip that leaves a group of operations its transfer of micro-batch 0. */
  int[] skipsFrom(int group) {
    return out[group];
  }

  /** For each skip that a group of operations waits for its transfer of micro-batch 0. */
  int[] skipsInto(int group) {
    return in[group];
  }
}
