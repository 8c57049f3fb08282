package io.crossmesh.bench;

import io.crossmesh.plan.Plan;
import io.crossmesh.plan.Planner;
import java.util.List;
import java.util.Map;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.VerboseMode;

/**
 * Runs {@link PlanningBenchmark} for all cases and prints each time beside its limit, and divided
 * by {@code n log2 n} of its unit tasks: where that does not grow, neither does the cost faster.
 */
public final class PlanningTable {
  private PlanningTable() {}

  /**
   * The status says whether every limit holds.
   *
   * @param arguments names of the cases to run; without any, all
   */
  public static void main(String[] arguments) throws RunnerException {
    Map<String, PlanningCase> cases = PlanningCase.all();
    if (arguments.length > 0) {
      cases.keySet().retainAll(List.of(arguments));
    }
    boolean within = true;
    System.out.println(
        "| case | unit tasks | moves | gap | ms | limit | / limit | ns / n log2 n |");
    System.out.println("|---|---|---|---|---|---|---|---|");
    for (Map.Entry<String, PlanningCase> each : cases.entrySet()) {
      Plan plan = Planner.plan(each.getValue().request());
      RunResult result =
          new Runner(
                  new OptionsBuilder()
                      .include(PlanningBenchmark.class.getName())
                      .param("name", each.getKey())
                      .verbosity(VerboseMode.SILENT)
                      .build())
              .runSingle();
      double millis = result.getPrimaryResult().getScore();
      double limit = each.getValue().limitMillis();
      within &= millis <= limit;
      System.out.println(row(each.getKey(), plan, millis, limit));
    }
    System.exit(within ? 0 : 1);
  }

  private static String row(String name, Plan plan, double millis, double limit) {
    double tasks = plan.tasks().size();
    double work = Math.max(1, tasks * Math.log(tasks) / Math.log(2));
    boolean limited = limit < Double.POSITIVE_INFINITY;
    return "| %s | %d | %d | %.2f %% | %.2f | %s | %s | %.0f |"
        .formatted(
            name,
            plan.tasks().size(),
            plan.moves().size(),
            100 * plan.gap(),
            millis,
            limited ? "%.0f".formatted(limit) : "",
            limited ? "%.2f".formatted(millis / limit) : "",
            millis * 1e6 / work);
  }
}
