package io.crossmesh.schedule;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;

/**
 * Chooses a schedule for stated times under a cap on memory: how far each stage runs ahead and
 * where weight gradients run.
 *
 * <p>Candidates are the fixed schedules that fit the cap, so that none of them is better, and
 * schedules that stages make greedily while the simulator runs ({@link GreedyDispatcher}). How many
 * micro-batches a stage needs on the way is its round trip, forwards, backwards and transfers from
 * it to the loss and back, over the period of the slowest stage or link: with 1F1B's times that is
 * 1F1B's warm-up, with a transfer of half a period that of eager-1F1B. The search looks at the cap
 * alone, then at limits around that, then moves the limit of one stage at a time while that helps.
 * The least makespan wins, then the least memory, then what was looked at first. A number of
 * operations bounds the search, no clock: every host chooses the same.
 */
public final class Adaptive {
  /** Operations that all runs of a search may have together: some tenths of a second. */
  static final int OPS_MAX = 800_000;

  static final int RUNS_MIN = 8;
  static final int RUNS_MAX = 400;

  private static final double[] STRETCH = {1, 1.5, 2, 3};
  private static final int[] EXTRA = {1, 0, 2};

  @SuppressWarnings("ArrayRecordComponent") // compared by what it takes alone
  private record Candidate(
      long makespan, double bytes, boolean split, int[][] lists, Optional<Policy> policy) {
    boolean betterThan(Candidate other) {
      return makespan < other.makespan || (makespan == other.makespan && bytes < other.bytes);
    }
  }

  private final PipelineShape shape;
  private final Tasks tasks;
  private final Timing timing;
  private final Network network;
  private final Budget budget;
  private final int[][][] order;
  private final Transfers transfers;
  private final Instants instants;
  private Optional<Candidate> best = Optional.empty();
  private int runs;

  private Adaptive(Timing timing, Network network, Budget budget) {
    this.shape = timing.shape();
    this.timing = timing;
    this.network = network;
    this.budget = budget;
    this.tasks = new Tasks(shape);
    this.order = GreedyDispatcher.order(tasks);
    this.transfers = new Transfers(tasks, timing);
    this.instants = Instants.of(tasks, transfers);
    this.runs = Math.clamp(OPS_MAX / tasks.count(), RUNS_MIN, RUNS_MAX);
  }

  /**
   * Chooses.
   *
   * @param timing seconds of operations and transfers; weight gradients run apart where they have a
   *     time of their own
   * @param network as the schedule will run
   * @param budget what each stage may hold
   */
  public static Schedule choose(Timing timing, Network network, Budget budget) {
    network.fits(timing);
    budget.holdsOne(timing.shape());
    return new Adaptive(timing, network, budget).choose();
  }

  private Schedule choose() {
    if (shape.inference()) {
      return new Schedule(Family.ADAPTIVE, shape, false, tasks.ops(order[0]));
    }
    for (Family family : fixed()) {
      consider(FixedSchedules.split(family, shape), FixedSchedules.lists(family, tasks));
    }
    for (Policy policy : policies()) {
      if (runs == 0) {
        break;
      }
      consider(timing.hasWeight(), policy);
    }
    consider(false, policies().getFirst());
    refine();
    Candidate chosen =
        best.orElseThrow(
            () ->
                Refusal.of(
                    "No order of the virtual stages keeps to the cap on memory; raise memory, or use fewer virtual stages."));
    return new Schedule(Family.ADAPTIVE, shape, chosen.split(), tasks.ops(chosen.lists()));
  }

  private List<Family> fixed() {
    if (shape.virtual() > 1) {
      return List.of(Family.INTERLEAVED_1F1B);
    }
    return timing.hasWeight()
        ? List.of(Family.ONE_F_ONE_B, Family.EAGER_1F1B, Family.ZB_H1, Family.GPIPE)
        : List.of(Family.ONE_F_ONE_B, Family.EAGER_1F1B, Family.GPIPE);
  }

  private void consider(boolean split, int[][] lists) {
    if (!budget.allows(Peaks.of(tasks, split, lists, budget.use()))) {
      return;
    }
    Engine engine = engine(split);
    if (engine.run(new ListDispatcher(engine, tasks, lists))) {
      keep(split, engine.makespan(), lists, Optional.empty());
    }
  }

  /** For a run that may end early where it cannot be the best. */
  private Engine engine(boolean split) {
    Engine engine = new Engine(tasks, timing, split, network, transfers, instants);
    return best.map(found -> engine.within(found.makespan(), split)).orElse(engine);
  }

  /** Whether the policy is the best so far. */
  private boolean consider(boolean split, Policy policy) {
    runs = Math.max(0, runs - 1);
    Engine engine = engine(split);
    GreedyDispatcher greedy = new GreedyDispatcher(engine, tasks, split, policy, budget, order);
    boolean hopeful =
        engine.run(greedy) && (best.isEmpty() || engine.makespan() <= best.get().makespan());
    return hopeful && keep(split, engine.makespan(), greedy.lists(), Optional.of(policy));
  }

  private boolean keep(boolean split, long makespan, int[][] lists, Optional<Policy> policy) {
    Peaks peaks = Peaks.of(tasks, split, lists, budget.use());
    double bytes = peaks.bytes().stream().mapToDouble(Double::doubleValue).sum();
    Candidate candidate = new Candidate(makespan, bytes, split, lists, policy);
    if (!budget.allows(peaks) || (best.isPresent() && !candidate.betterThan(best.get()))) {
      return false;
    }
    best = Optional.of(candidate);
    return true;
  }

  private List<Policy> policies() {
    List<Policy> policies = new ArrayList<>();
    for (int patience : timing.hasWeight() ? new int[] {1, 0, 2} : new int[] {0, 2}) {
      int all = shape.microbatches() * shape.virtual();
      policies.add(new Policy(Collections.nCopies(shape.stages(), all), false, patience));
      for (int extra : EXTRA) {
        for (double stretch : STRETCH) {
          policies.add(new Policy(limits(stretch, extra), false, patience));
        }
      }
    }
    if (timing.hasWeight()) {
      for (double stretch : STRETCH) {
        policies.add(new Policy(limits(stretch, 1), true, 0));
      }
    }
    return policies;
  }

  /** For each stage its round trip over the period, stretched, and some more. */
  private List<Integer> limits(double stretch, int extra) {
    int parts = shape.virtualStages();
    double[] path = new double[parts];
    double[] trip = new double[shape.stages()];
    double[] work = new double[shape.stages()];
    double slowest = 1;
    boolean split = timing.hasWeight();
    for (int part = parts - 1; part >= 0; part--) {
      int stage = shape.stageOf(part);
      double send =
          part == parts - 1 ? 0 : (double) timing.sendForward(part) + timing.sendBackward(part);
      double on = part == parts - 1 ? 0 : send + path[part + 1];
      for (Timing.Skip skip : timing.skips()) {
        if (skip.from() == part) {
          double past = (double) skip.sendForward() + skip.sendBackward();
          on = Math.max(on, past + path[skip.to()]);
          send = Math.max(send, past);
        }
      }
      double here =
          timing.op(OpKind.FORWARD, part, split) + timing.op(OpKind.BACKWARD, part, split);
      path[part] = on + here;
      trip[stage] = path[part];
      work[stage] += here + (split ? timing.op(OpKind.WEIGHT, part, true) : 0);
      slowest = Math.max(slowest, Math.max(work[stage], shape.virtual() * send / 2));
    }
    List<Integer> limits = new ArrayList<>();
    for (int stage = 0; stage < shape.stages(); stage++) {
      double needed = stretch * trip[stage] * shape.virtual() / slowest;
      int most = shape.microbatches() * shape.virtual();
      limits.add((int) Math.clamp(Math.ceil(needed) + extra, 1, most));
    }
    return limits;
  }

  /** Moves the limit of one stage at a time while that helps. */
  private void refine() {
    boolean better = true;
    while (better && runs > 0) {
      better = false;
      for (int stage = 0; stage < shape.stages() && runs > 0; stage++) {
        better |= moved(stage, -1) || moved(stage, 1);
      }
    }
  }

  private boolean moved(int stage, int by) {
    Optional<Policy> policy = best.flatMap(Candidate::policy);
    if (policy.isEmpty()) {
      return false;
    }
    List<Integer> limits = new ArrayList<>(policy.get().limits());
    limits.set(stage, limits.get(stage) + by);
    return limits.get(stage) >= 1
        && consider(
            best.get().split(),
            new Policy(limits, policy.get().weightsFirst(), policy.get().patience()));
  }
}
