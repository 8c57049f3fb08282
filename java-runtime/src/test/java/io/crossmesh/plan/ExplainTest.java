package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.plan.Cases.Case;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ExplainTest {
  private static Stream<Case> all() {
    return Cases.all();
  }

  @ParameterizedTest
  @MethodSource("all")
  void everyPublishedCaseIsExplained(Case row) {
    String strategy = row.row().getOrDefault("strategy", "auto");
    Plan plan = Planner.plan(row.request(Strategy.parse(strategy), Order.SIZE));
    assertThat(plan.explain())
        .contains(plan.tasks().size() + " unit tasks", "lower bound", "gap", "strategy", "route")
        .contains(plan.request().hosts());
    assertThat(plan.explain().lines()).allMatch(line -> line.equals(line.stripTrailing()));
  }

  @Test
  void longTablesAreCutAndNumbersDoNotDependOnTheLocale() {
    Locale before = Locale.getDefault();
    try {
      Locale.setDefault(Locale.GERMANY);
      Case four = Cases.paperManyToMany().get(3);
      assertThat(Planner.plan(four.request(Strategy.BROADCAST, Order.SIZE)).explain())
          .contains("1.25 GB/s", "2.0 GiB", "858.99 ms", "... and 44 more");
    } finally {
      Locale.setDefault(before);
    }
  }
}
