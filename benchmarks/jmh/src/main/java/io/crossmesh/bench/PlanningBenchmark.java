package io.crossmesh.bench;

import io.crossmesh.plan.Plan;
import io.crossmesh.plan.PlanRequest;
import io.crossmesh.plan.Planner;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** Plans one {@link PlanningCase} again and again, without a cache, in 1 GiB of heap. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(
    value = 1,
    jvmArgs = {"-Xmx1g", "-XX:+UseSerialGC", "--sun-misc-unsafe-memory-access=allow"})
@Warmup(iterations = 12, time = 1)
@Measurement(iterations = 4, time = 1)
public class PlanningBenchmark {
  /** Name of the case; the table of {@link PlanningTable} sets it. */
  @Param("paper 1")
  public String name = "";

  private @Nullable PlanRequest request;

  /** Makes the request, which is not timed. */
  @Setup
  public void prepare() {
    request = Objects.requireNonNull(PlanningCase.all().get(name), name).request();
  }

  /** One plan. */
  @Benchmark
  public Plan plan() {
    return Planner.plan(Objects.requireNonNull(request));
  }
}
