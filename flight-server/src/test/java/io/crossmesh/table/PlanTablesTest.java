package io.crossmesh.table;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.Order;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.PlanRequest;
import io.crossmesh.plan.Planner;
import io.crossmesh.plan.Strategy;
import io.crossmesh.plan.TensorReshard;
import io.crossmesh.plan.UnitTask;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;
import java.util.stream.IntStream;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class PlanTablesTest {
  @TempDir private Path directory;

  private static Plan plan(int hosts, int devices, String from, String to, Long... shape) {
    TensorReshard tensor =
        new TensorReshard(
            new TensorSpec("w", List.of(shape), DType.of("int8")),
            Sharding.parse(mesh("a", hosts, devices), from),
            Sharding.parse(mesh("b", hosts, devices), to));
    return Planner.plan(new PlanRequest(List.of(tensor), Strategy.BROADCAST, Order.NAIVE));
  }

  private static Mesh mesh(String prefix, int hosts, int devices) {
    return Mesh.ofHosts(
        List.of(hosts, devices), IntStream.range(0, hosts).mapToObj(i -> prefix + i).toList());
  }

  @Test
  void aTableOfSeveralBatchesSaysWhatThePlanSays() throws IOException {
    Plan plan = plan(17, 8, "R S01", "S01 R", 272L, 408L);
    assertThat(plan.moves().size()).isGreaterThan(PlanTables.BATCH_ROWS);
    PlanTables tables = new PlanTables(directory);
    List<String> hosts = List.copyOf(plan.bytesSent().keySet());
    assertThat(read(tables.moves(1, plan), (root, row) -> move(root, row, hosts)))
        .isEqualTo(plan.moves());
    assertThat(read(tables.tasks(1, plan), PlanTablesTest::task)).isEqualTo(plan.tasks());
  }

  @Test
  void chainsAndScalarsAndPlansWithoutMovesAreTablesToo() throws IOException {
    for (Plan plan :
        List.of(
            plan(3, 2, "S0 R", "R S1", 12L, 8L), plan(2, 1, "", ""), plan(2, 1, "S0", "R", 0L))) {
      PlanTables tables = new PlanTables(Files.createTempDirectory(directory, "tables"));
      List<String> hosts = List.copyOf(plan.bytesSent().keySet());
      assertThat(read(tables.moves(1, plan), (root, row) -> move(root, row, hosts)))
          .isEqualTo(plan.moves());
      assertThat(read(tables.tasks(1, plan), PlanTablesTest::task)).isEqualTo(plan.tasks());
    }
  }

  @Test
  void aTableIsItsUsersAndIsRemovedAlone() throws IOException {
    Plan plan = plan(2, 2, "S0 R", "R S1", 12L, 8L);
    PlanTables tables = new PlanTables(directory);
    Path moves = tables.moves(1, plan);
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(moves)))
        .isEqualTo("rw-------");
    assertThat(tables.moves(1, plan)).isEqualTo(moves);
    Path kept = tables.tasks(2, plan);
    tables.tasks(1, plan);
    tables.remove(1);
    try (var left = Files.list(directory)) {
      assertThat(left).containsExactly(kept);
    }
  }

  @Test
  void aDirectoryThatIsGoneIsNamed() {
    PlanTables tables = new PlanTables(directory.resolve("gone"));
    assertThatThrownBy(() -> tables.moves(1, plan(2, 1, "R", "R", 4L)))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.INTERNAL))
        .hasMessageContaining("gone");
  }

  private static <T> List<T> read(Path file, BiFunction<VectorSchemaRoot, Integer, T> read)
      throws IOException {
    List<T> rows = new ArrayList<>();
    try (FileChannel in = FileChannel.open(file);
        RootAllocator allocator = new RootAllocator();
        ArrowFileReader reader = new ArrowFileReader(in, allocator)) {
      while (reader.loadNextBatch()) {
        VectorSchemaRoot root = reader.getVectorSchemaRoot();
        for (int row = 0; row < root.getRowCount(); row++) {
          rows.add(read.apply(root, row));
        }
      }
    }
    return rows;
  }

  private static Move move(VectorSchemaRoot root, int row, List<String> hosts) {
    return new Move(
        (Integer) root.getVector("tensor").getObject(row),
        box(root, row),
        (Long) root.getVector("bytes").getObject(row),
        (Long) root.getVector("chunk_bytes").getObject(row),
        (Double) root.getVector("start").getObject(row),
        (Double) root.getVector("end").getObject(row),
        (Integer) root.getVector("sender").getObject(row),
        numbers(root, "receivers", row),
        numbers(root, "route", row).stream().map(hosts::get).toList());
  }

  private static UnitTask task(VectorSchemaRoot root, int row) {
    return new UnitTask(
        (Integer) root.getVector("tensor").getObject(row),
        box(root, row),
        numbers(root, "senders", row),
        numbers(root, "receivers", row));
  }

  private static Box box(VectorSchemaRoot root, int row) {
    List<?> bounds = (List<?>) root.getVector("box").getObject(row);
    long[] lo = new long[bounds.size() / 2];
    long[] hi = new long[lo.length];
    for (int d = 0; d < lo.length; d++) {
      lo[d] = (Long) bounds.get(2 * d);
      hi[d] = (Long) bounds.get(2 * d + 1);
    }
    return Box.of(lo, hi);
  }

  private static List<Integer> numbers(VectorSchemaRoot root, String column, int row) {
    return ((List<?>) root.getVector(column).getObject(row))
        .stream().map(Integer.class::cast).toList();
  }
}
