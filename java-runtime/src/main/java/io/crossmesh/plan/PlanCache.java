package io.crossmesh.plan;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Plans made lately, by the digest of their requests: a training step asks for the same plans again
 * and again. What was used longest ago goes first. Safe for use by several threads, of which two
 * may plan the same request at the same time.
 */
public final class PlanCache {
  /** Most plans that are kept. */
  public static final int PLANS_MAX = 256;

  /** Most moves and unit tasks that the kept plans may have in all; larger plans are not kept. */
  public static final int ROWS_MAX = 1 << 20;

  private final Map<String, Plan> plans = new LinkedHashMap<>(16, 0.75f, true);
  private long rows;

  /**
   * The plan of a request, made now or before.
   *
   * @throws io.crossmesh.CrossmeshException as {@link Planner#plan}
   */
  public Plan plan(PlanRequest request) {
    String key = PlanDigest.of(request);
    Plan known = find(key);
    if (known == null) {
      Plan plan = Planner.plan(request);
      keep(key, plan);
      return plan;
    }
    // Requests that differ in the names of axes alone have the same plan.
    return known.of(request);
  }

  private synchronized @Nullable Plan find(String key) {
    return plans.get(key);
  }

  private synchronized void keep(String key, Plan plan) {
    if (rows(plan) > ROWS_MAX || plans.putIfAbsent(key, plan) != null) {
      return;
    }
    rows += rows(plan);
    Iterator<Plan> oldest = plans.values().iterator();
    while (rows > ROWS_MAX || plans.size() > PLANS_MAX) {
      rows -= rows(oldest.next());
      oldest.remove();
    }
  }

  /** How many plans are kept. */
  synchronized int size() {
    return plans.size();
  }

  private static long rows(Plan plan) {
    return (long) plan.moves().size() + plan.tasks().size();
  }
}
