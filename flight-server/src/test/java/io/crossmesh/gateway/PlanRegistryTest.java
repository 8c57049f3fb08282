package io.crossmesh.gateway;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.plan.Order;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.PlanRequest;
import io.crossmesh.plan.Planner;
import io.crossmesh.plan.Strategy;
import io.crossmesh.plan.TensorReshard;
import io.crossmesh.table.PlanTables;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class PlanRegistryTest {
  @TempDir private Path directory;

  @Test
  void aPlansTablesGoWithIt() throws IOException {
    TensorReshard tensor =
        new TensorReshard(
            new TensorSpec("w", List.of(12L, 8L), DType.of("int8")),
            Sharding.parse(Mesh.ofHosts(List.of(2, 2), List.of("a", "b")), "S0 R"),
            Sharding.parse(Mesh.ofHosts(List.of(2, 2), List.of("c", "d")), "R S1"));
    Plan plan = Planner.plan(new PlanRequest(List.of(tensor), Strategy.BROADCAST, Order.NAIVE));
    PlanRegistry registry = new PlanRegistry(new PlanTables(directory));
    long id = registry.add(plan);
    Path kept = registry.tasks(registry.add(plan));
    registry.tasks(id);
    registry.moves(id);
    registry.release(id);
    try (var left = Files.list(directory)) {
      assertThat(left).containsExactly(kept);
    }
    assertThatThrownBy(() -> registry.moves(id)).isInstanceOf(CrossmeshException.class);
  }
}
