package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Limit;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Nic;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.mesh.Topology;
import io.crossmesh.plan.Cases.Case;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a page about a plan is made of: its numbers, the baselines, the busy times of NICs. */
class PlanReportTest {
  private static Stream<Case> all() {
    return Cases.all();
  }

  private static IntStream seeds() {
    return IntStream.range(0, 30);
  }

  private static Mesh mesh(String prefix, int hosts, int perHost) {
    return Mesh.ofHosts(
        List.of(hosts, perHost), IntStream.range(0, hosts).mapToObj(i -> prefix + i).toList());
  }

  private static PlanRequest request(Mesh src, String from, Mesh dst, String to, Long... shape) {
    TensorReshard reshard =
        new TensorReshard(
            new TensorSpec("w", List.of(shape), DType.of("int8")),
            Sharding.parse(src, from),
            Sharding.parse(dst, to));
    return new PlanRequest(List.of(reshard), Strategy.AUTO, Order.OPTIMAL);
  }

  @ParameterizedTest
  @MethodSource("all")
  void everyPublishedCaseIsReported(Case row) {
    Plan plan = Planner.plan(row.request(Strategy.AUTO, Order.OPTIMAL));
    ObjectNode report = PlanReport.of(plan, 3);
    assertThat(report.path("makespan").doubleValue()).isEqualTo(plan.makespan());
    JsonNode bound = report.path("bound");
    double seconds =
        bound.path("bytes").longValue() == 0
            ? 0
            : bound.path("bytes").longValue() / bound.path("bandwidth").doubleValue();
    assertThat(seconds).isEqualTo(plan.lowerBound());
    assertThat(report.at("/tasks/total").intValue()).isEqualTo(plan.tasks().size());
    assertThat(report.at("/tasks/rows")).hasSize(Math.min(3, plan.tasks().size()));
    assertThat(report.at("/moves/total").intValue()).isEqualTo(plan.moves().size());
    assertThat(report.at("/hosts/total").intValue()).isEqualTo(plan.bytesSent().size());
    assertThat(report.at("/tensors/rows/0/candidates")).hasSize(Strategy.concrete().size());
  }

  @Test
  void theChosenStrategyIsTheSoonestOfThoseConsidered() {
    Plan plan = Planner.plan(request(mesh("s", 2, 2), "S0 R", mesh("d", 2, 2), "R R", 4096L, 64L));
    JsonNode tensor = PlanReport.of(plan, 1).at("/tensors/rows/0");
    Map<String, Double> seconds = new HashMap<>();
    for (JsonNode candidate : tensor.path("candidates")) {
      if (candidate.path("considered").booleanValue()) {
        seconds.put(candidate.path("strategy").textValue(), candidate.path("seconds").asDouble());
      }
    }
    assertThat(seconds).containsKeys("broadcast", "send_recv");
    assertThat(seconds.get(tensor.path("strategy").textValue()))
        .isEqualTo(seconds.values().stream().mapToDouble(Double::doubleValue).min().orElseThrow());
  }

  @Test
  void theReasonOfTheBoundIsNamed() {
    // All of the receiver's bytes over its NIC; the only holder's; and what a group shares.
    Plan ingress = Planner.plan(request(mesh("s", 2, 1), "S0", mesh("d", 1, 1), "R", 64L));
    assertThat(PlanReport.of(ingress, 9).at("/bound/kind").textValue()).isEqualTo("ingress");
    assertThat(PlanReport.of(ingress, 9).at("/bound/hosts").textValue()).isEqualTo("d0");
    Plan egress = Planner.plan(request(mesh("s", 1, 1), "R", mesh("d", 2, 1), "S0", 64L));
    assertThat(PlanReport.of(egress, 9).at("/bound/kind").textValue()).isEqualTo("egress");
    assertThat(PlanReport.of(egress, 9).at("/bound/hosts").textValue()).isEqualTo("s0");
    Plan none = Planner.plan(request(mesh("s", 1, 1), "R", mesh("s", 1, 1), "R", 64L));
    assertThat(PlanReport.of(none, 9).at("/bound/kind").textValue()).isEqualTo("none");
    PlanRequest open = request(mesh("s", 2, 1), "S0", mesh("d", 2, 1), "S0", 64L);
    TreeMap<String, List<Nic>> nics = new TreeMap<>();
    open.hosts().forEach(host -> nics.put(host, List.of(new Nic(1e9, 0))));
    Topology rack = new Topology(nics, List.of(new Limit(List.of("d0", "d1"), 1e8)));
    ObjectNode report =
        PlanReport.of(
            Planner.plan(new PlanRequest(open.tensors(), rack, Strategy.AUTO, Order.OPTIMAL)), 9);
    assertThat(report.at("/bound/kind").textValue()).isEqualTo("entering");
    assertThat(report.at("/bound/hosts").textValue()).isEqualTo("d0, d1");
    assertThat(report.at("/limits/rows/0/entered").longValue()).isEqualTo(64);
    assertThat(report.at("/limits/rows/0/left").longValue()).isZero();
  }

  @Test
  void aPageOfAHugePlanStaysAPage() {
    Plan plan =
        Planner.plan(request(mesh("s", 64, 8), "S01 R", mesh("d", 64, 8), "S0 S1", 8192L, 512L));
    assertThat(plan.tasks()).hasSize(4096);
    ObjectNode report = PlanReport.of(plan, 16);
    assertThat(report.toString()).hasSizeLessThan(20_000);
    assertThat(report.at("/hosts/rows")).hasSize(16);
    assertThat(report.at("/tensors/rows/0/src/hosts").textValue()).endsWith("and 56 more");
  }

  @Test
  void baselinesStandBesideThePlan() {
    Plan plan = Planner.plan(Cases.paperManyToMany().get(1).request(Strategy.AUTO, Order.OPTIMAL));
    JsonNode some = PlanComparison.of(plan, false).path("rows");
    assertThat(some).hasSize(Order.values().length + Strategy.concrete().size());
    JsonNode all = PlanComparison.of(plan, true).path("rows");
    assertThat(all).hasSize(Order.values().length * Strategy.values().length);
    for (JsonNode row : all) {
      assertThat(row.path("over_bound").doubleValue()).isGreaterThanOrEqualTo(1);
      Plan other =
          Planner.plan(
              plan.request()
                  .with(
                      Strategy.parse(row.path("strategy").textValue()),
                      Order.parse(row.path("order").textValue())));
      assertThat(row.path("makespan").doubleValue()).isEqualTo(other.makespan());
    }
  }

  @Test
  void aBaselineThatIsRefusedSaysWhy() {
    Plan plan =
        Planner.plan(request(mesh("s", 1, 1024), "S1 R", mesh("d", 2, 1056), "R R", 1024L, 4L));
    assertThat(PlanComparison.of(plan, false).path("rows").findValuesAsText("refused"))
        .singleElement()
        .asString()
        .contains("use strategy broadcast");
  }

  /** Every byte occupies the NICs it crosses once, one chunk at a time, and all by the makespan. */
  @ParameterizedTest(name = "seed {0}")
  @MethodSource("seeds")
  void busyTimesAreDisjointAndAddUpToTheBytes(int seed) {
    Plan plan = Planner.plan(new RandomRequests(7000L + seed).next());
    ObjectNode times = BusyTimes.of(plan);
    JsonNode resources = times.path("resources");
    double[] until = new double[resources.size()];
    double[] busy = new double[resources.size()];
    for (int i = 0; i < times.path("start").size(); i++) {
      int resource = times.path("resource").get(i).intValue();
      double start = times.path("start").get(i).doubleValue();
      double end = times.path("end").get(i).doubleValue();
      assertThat(start).isGreaterThanOrEqualTo(until[resource] * (1 - 1e-9));
      assertThat(end).isGreaterThan(start).isLessThanOrEqualTo(plan.makespan() * (1 + 1e-9));
      until[resource] = end;
      busy[resource] += end - start;
    }
    for (int r = 0; r < resources.size(); r++) {
      if (!resources.get(r).path("limit").booleanValue()) {
        String host = resources.get(r).at("/hosts/0").textValue();
        boolean out = resources.get(r).path("direction").textValue().equals("out");
        long bytes =
            (out ? plan.bytesSent() : plan.bytesReceived()).getOrDefault(host, Long.MIN_VALUE);
        double seconds = bytes / plan.request().topology().bandwidth(host);
        assertThat(busy[r]).isBetween(seconds * (1 - 1e-6) - 1e-15, seconds * (1 + 1e-6) + 1e-15);
      }
    }
  }
}
