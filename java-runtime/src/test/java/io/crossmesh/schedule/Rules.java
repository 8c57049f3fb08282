package io.crossmesh.schedule;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** What every timeline must keep to, read off the timeline alone. */
final class Rules {
  private static final double EPSILON = 1e-9;

  private record Interval(double start, double end) {}

  private Rules() {}

  static void check(Schedule schedule, Network network, Simulation result) {
    Map<Op, Timeline.Span> spans = new HashMap<>();
    result.timeline().spans().forEach(span -> spans.put(span.op(), span));
    Map<String, List<Interval>> uses = new HashMap<>();
    for (Timeline.Transfer transfer : result.timeline().transfers()) {
      Op made = transfer.op();
      Op used = new Op(made.kind(), made.microbatch(), transfer.to());
      assertThat(transfer.posted()).isEqualTo(at(spans, made).end());
      assertThat(transfer.start()).isGreaterThanOrEqualTo(transfer.posted());
      assertThat(at(spans, used).start()).isGreaterThanOrEqualTo(transfer.end());
      for (String thing : occupied(network, transfer)) {
        uses.computeIfAbsent(thing, key -> new ArrayList<>())
            .add(new Interval(transfer.start(), transfer.end()));
      }
    }
    for (int stage = 0; stage < schedule.shape().stages(); stage++) {
      double free = 0;
      double work = 0;
      for (Op op : schedule.stage(stage)) {
        Timeline.Span span = at(spans, op);
        assertThat(span.start()).as("%s", op).isGreaterThanOrEqualTo(free);
        free = span.end();
        work += span.end() - span.start();
        if (!network.overlap()) {
          Interval busy = new Interval(span.start(), span.end());
          uses.computeIfAbsent("send " + stage, key -> new ArrayList<>()).add(busy);
          uses.computeIfAbsent("receive " + stage, key -> new ArrayList<>()).add(busy);
        }
      }
      assertThat(result.makespan()).isGreaterThanOrEqualTo(free);
      assertThat(
              result.work().get(stage) + result.exposed().get(stage) + result.bubbles().get(stage))
          .isCloseTo(result.makespan(), within(EPSILON));
      assertThat(work).isCloseTo(result.work().get(stage), within(EPSILON));
      assertThat(result.bubbles().get(stage)).isGreaterThanOrEqualTo(-EPSILON);
    }
    uses.forEach(Rules::oneAtATime);
  }

  private static Timeline.Span at(Map<Op, Timeline.Span> spans, Op op) {
    Timeline.Span span = spans.get(op);
    if (span == null) {
      throw new AssertionError(op + " did not run");
    }
    return span;
  }

  private static List<String> occupied(Network network, Timeline.Transfer transfer) {
    int from = transfer.from();
    int to = transfer.to();
    List<String> things = new ArrayList<>();
    if (network.hosts().isEmpty()) {
      String link = "link " + Math.min(from, to) + " " + Math.max(from, to);
      things.add(network.halfDuplex() ? link : link + (from < to));
    } else if (!network.hosts().get(from).equals(network.hosts().get(to))) {
      things.add("nic " + network.hosts().get(from) + (network.halfDuplex() ? "" : " out"));
      things.add("nic " + network.hosts().get(to) + (network.halfDuplex() ? "" : " in"));
    }
    if (!network.overlap()) {
      things.add("send " + from);
      things.add("receive " + to);
      if (!network.exchange()) {
        things.add("receive " + from);
        things.add("send " + to);
      }
    }
    return things;
  }

  private static void oneAtATime(String what, List<Interval> intervals) {
    intervals.sort(Comparator.comparingDouble(Interval::start).thenComparingDouble(Interval::end));
    for (int i = 1; i < intervals.size(); i++) {
      assertThat(intervals.get(i).start())
          .as("%s, use %d", what, i)
          .isGreaterThanOrEqualTo(intervals.get(i - 1).end());
    }
  }
}
