package io.crossmesh.schedule;

import java.util.Arrays;

/**
 * Makes a schedule while the engine runs it: each stage merges its sequences of forwards, backwards
 * and weight gradients by a {@link Policy}, within the limits of the policy and the cap on memory.
 * Running the lists that come out gives the same times again, since an operation never waits in
 * them for anything but its input and its stage.
 */
final class GreedyDispatcher implements Dispatcher {
  private final Engine engine;
  private final Tasks tasks;
  private final Policy policy;
  private final int[] limits;
  private final Budget budget;
  private final int[][][] order;
  private final int[][] at;
  private final int[] live;
  private final double[] held;
  private final int[] done;
  private final int[] doneAt;
  private final boolean split;

  /**
   * A dispatcher for one run.
   *
   * @param order by kind and stage the operations in the order in which they run
   */
  GreedyDispatcher(
      Engine engine, Tasks tasks, boolean split, Policy policy, Budget budget, int[][][] order) {
    this.engine = engine;
    this.tasks = tasks;
    this.policy = policy;
    this.limits = policy.limits().stream().mapToInt(Integer::intValue).toArray();
    this.budget = budget;
    this.order = order;
    this.split = split;
    int stages = tasks.shape().stages();
    this.at = new int[OpKind.COUNT][stages];
    this.live = new int[stages];
    this.held = new double[stages];
    this.doneAt = new int[stages];
    this.done = new int[tasks.count()];
  }

  /** The sequences of each kind and stage as the engine numbers them. */
  static int[][][] order(Tasks tasks) {
    int n = tasks.shape().stages();
    int[][][] order = new int[OpKind.COUNT][n][];
    for (int stage = 0; stage < n; stage++) {
      Sequences sequences = Sequences.of(tasks, stage);
      order[0][stage] = sequences.forwards();
      order[1][stage] = sequences.backwards();
      order[2][stage] = sequences.weights();
    }
    return order;
  }

  @Override
  public int next(int stage) {
    int backward = ready(OpKind.BACKWARD, stage);
    if (backward >= 0) {
      return backward;
    }
    int forward = fits(stage) ? ready(OpKind.FORWARD, stage) : -1;
    int weight = split && at[2][stage] < at[1][stage] ? order[2][stage][at[2][stage]] : -1;
    if (policy.weightsFirst() && weight >= 0) {
      return weight;
    }
    if (forward >= 0) {
      return policy.patience() > 1 && comesBefore(OpKind.BACKWARD, stage, forward) ? -1 : forward;
    }
    boolean waits =
        weight >= 0
            && policy.patience() > 0
            && (comesBefore(OpKind.BACKWARD, stage, weight)
                || (fits(stage) && comesBefore(OpKind.FORWARD, stage, weight)));
    return waits ? -1 : weight;
  }

  /** The next of a kind, if all it needs is there. */
  private int ready(OpKind kind, int stage) {
    int task = upcoming(kind, stage);
    boolean here =
        task >= 0 && engine.arrived(task) && (kind == OpKind.FORWARD || forwardDone(task));
    return here ? task : -1;
  }

  private int upcoming(OpKind kind, int stage) {
    int[] sequence = order[kind.index()][stage];
    int position = at[kind.index()][stage];
    boolean any =
        position < sequence.length && !(tasks.shape().inference() && kind != OpKind.FORWARD);
    return any ? sequence[position] : -1;
  }

  private boolean forwardDone(int backward) {
    return engine.started(backward - tasks.transfers() / 2);
  }

  private boolean fits(int stage) {
    int forward = upcoming(OpKind.FORWARD, stage);
    return forward >= 0
        && live[stage] < limits[stage]
        && budget.allows(stage, held[stage] + peak(forward));
  }

  /** What a micro-batch may come to hold, so that its backward never lifts a stage over the cap. */
  private double peak(int forward) {
    int part = tasks.virtualStage(forward);
    double activation = budget.use().activation(part);
    return split ? Math.max(activation, budget.use().residual(part)) : activation;
  }

  /** Whether the next of a kind arrives while {@code task} would still run. */
  private boolean comesBefore(OpKind kind, int stage, int task) {
    int waited = upcoming(kind, stage);
    if (waited < 0 || tasks.producer(waited) < 0) {
      return false;
    }
    long arrival = engine.arrival(waited);
    long until = engine.now() + engine.ticks(task);
    return arrival > engine.now() && arrival < until;
  }

  @Override
  public void started(int task) {
    int stage = tasks.stage(task);
    int part = tasks.virtualStage(task);
    OpKind kind = tasks.kind(task);
    at[kind.index()][stage]++;
    int per = done.length / live.length;
    done[stage * per + doneAt[stage]++] = task;
    double activation = split ? peak(task) : budget.use().activation(part);
    if (kind == OpKind.FORWARD) {
      live[stage]++;
      held[stage] += activation;
    }
    boolean released =
        tasks.shape().inference() || kind == (split ? OpKind.WEIGHT : OpKind.BACKWARD);
    if (kind == OpKind.BACKWARD && split) {
      held[stage] += budget.use().residual(part) - activation;
    }
    if (released) {
      live[stage]--;
      held[stage] -= split ? budget.use().residual(part) : activation;
    }
  }

  /** The lists that were made. */
  int[][] lists() {
    int[][] lists = new int[live.length][];
    int per = done.length / live.length;
    for (int stage = 0; stage < lists.length; stage++) {
      lists[stage] = Arrays.copyOfRange(done, stage * per, stage * per + doneAt[stage]);
    }
    return lists;
  }
}
