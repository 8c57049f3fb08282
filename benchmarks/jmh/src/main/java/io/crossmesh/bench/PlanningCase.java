package io.crossmesh.bench;

import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.plan.Order;
import io.crossmesh.plan.PlanRequest;
import io.crossmesh.plan.Strategy;
import io.crossmesh.plan.TensorReshard;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * What is planned and how long that may take.
 *
 * @param request with strategy auto and order optimal
 * @param limitMillis the limit; infinite for sizes that only show the growth
 */
record PlanningCase(PlanRequest request, double limitMillis) {
  private static final double PAPER_MILLIS = 2;
  private static final double THOUSAND_TASKS_MILLIS = 50;
  private static final double SECOND_MILLIS = 1000;
  private static final List<Integer> HOSTS = List.of(2, 4, 8, 16, 32, 64);
  private static final int TENSORS = 1000;

  /** All cases by name, in the order in which they are printed. */
  static Map<String, PlanningCase> all() {
    Map<String, PlanningCase> cases = new LinkedHashMap<>();
    for (String file : List.of("paper_n_to_m.csv", "paper_1_to_m.csv")) {
      paper(file, cases);
    }
    cases.put("8x4 all to all", new PlanningCase(allToAll(8, 4), THOUSAND_TASKS_MILLIS));
    for (int hosts : HOSTS) {
      double limit = hosts == 64 ? SECOND_MILLIS : Double.POSITIVE_INFINITY;
      cases.put(hosts + "x8 all to all", new PlanningCase(allToAll(hosts, 8), limit));
    }
    cases.put(TENSORS + " tensors", new PlanningCase(model(), SECOND_MILLIS));
    return cases;
  }

  /** {@code R S01 -> S01 R}: every device has something for every other. */
  private static PlanRequest allToAll(int hosts, int devices) {
    return request(
        List.of(
            tensor(
                "",
                List.of(16_384L, 16_384L),
                Sharding.parse(mesh("s", List.of(hosts, devices)), "R S01"),
                Sharding.parse(mesh("d", List.of(hosts, devices)), "S01 R"))));
  }

  /** The tensors of 30 equal layers and a few more, from 4 hosts x 4 devices to as many others. */
  private static PlanRequest model() {
    Mesh src = mesh("s", List.of(4, 4));
    Mesh dst = mesh("d", List.of(4, 4));
    List<Sharding> from = new ArrayList<>();
    List<Sharding> to = new ArrayList<>();
    for (String spec : List.of("S0 S1", "R S1", "S0 R", "S01 R")) {
      from.add(Sharding.parse(src, spec));
      to.add(Sharding.parse(dst, spec));
    }
    List<TensorReshard> tensors = new ArrayList<>();
    for (int t = 0; t < TENSORS; t++) {
      int kind = t % 33;
      tensors.add(
          tensor(
              "layer%d/%d".formatted(t / 33, kind),
              List.of(1024L * (1 + kind % 4), 1024L * (1 + kind / 4 % 2)),
              from.get(kind % from.size()),
              to.get((kind + 1 + kind / 8) % to.size())));
    }
    return request(tensors);
  }

  private static void paper(String file, Map<String, PlanningCase> cases) {
    String[] lines = read(file).split("\\R", -1);
    List<String> names = List.of(lines[0].split(",", -1));
    for (String line : List.of(lines).subList(1, lines.length)) {
      if (line.isBlank()) {
        continue;
      }
      String[] row = line.split(",", -1);
      TensorSpec tensor =
          new TensorSpec(
              "",
              Arrays.stream(row[names.indexOf("shape")].split("x", -1)).map(Long::valueOf).toList(),
              DType.of(row[names.indexOf("dtype")]));
      TensorReshard reshard =
          new TensorReshard(
              tensor,
              Sharding.parse(
                  mesh("s", shape(row[names.indexOf("src_mesh")])), row[names.indexOf("src_spec")]),
              Sharding.parse(
                  mesh("d", shape(row[names.indexOf("dst_mesh")])),
                  row[names.indexOf("dst_spec")]));
      cases.put("paper " + row[0], new PlanningCase(request(List.of(reshard)), PAPER_MILLIS));
    }
  }

  private static String read(String file) {
    try (InputStream in = PlanningCase.class.getResourceAsStream("/cases/" + file)) {
      if (in == null) {
        throw new IllegalStateException("no resource " + file);
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static TensorReshard tensor(String key, List<Long> shape, Sharding src, Sharding dst) {
    return new TensorReshard(new TensorSpec(key, shape, DType.of("float32")), src, dst);
  }

  private static PlanRequest request(List<TensorReshard> tensors) {
    return new PlanRequest(tensors, Strategy.AUTO, Order.OPTIMAL);
  }

  private static List<Integer> shape(String text) {
    return Arrays.stream(text.split("x", -1)).map(Integer::valueOf).toList();
  }

  private static Mesh mesh(String prefix, List<Integer> shape) {
    return Mesh.ofHosts(
        shape, IntStream.range(0, shape.getFirst()).mapToObj(i -> prefix + i).toList());
  }
}
