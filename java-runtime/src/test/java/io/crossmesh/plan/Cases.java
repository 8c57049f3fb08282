package io.crossmesh.plan;

import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** The published cases, read from the CSV files beside the tests. Axis 0 of a mesh is its hosts. */
public final class Cases {
  private Cases() {}

  /** One row of a file, by column name. */
  public record Case(String name, Map<String, String> row) {
    public TensorReshard reshard() {
      TensorSpec tensor = new TensorSpec("", longs(get("shape")), DType.of(get("dtype")));
      Mesh src = mesh("s", get("src_mesh"));
      Mesh dst = mesh("d", get("dst_mesh"));
      return new TensorReshard(
          tensor, Sharding.parse(src, get("src_spec")), Sharding.parse(dst, get("dst_spec")));
    }

    public PlanRequest request(Strategy strategy, Order order) {
      return new PlanRequest(List.of(reshard()), strategy, order);
    }

    public String get(String column) {
      String value = row.get(column);
      if (value == null) {
        throw new IllegalArgumentException("no column " + column + " in " + row.keySet());
      }
      return value;
    }

    @Override
    public String toString() {
      return name;
    }
  }

  public static List<Case> paperManyToMany() {
    return read("paper_n_to_m.csv");
  }

  public static List<Case> paperOneToMany() {
    return read("paper_1_to_m.csv");
  }

  public static List<Case> alpa() {
    return read("alpa_tests.csv");
  }

  public static Stream<Case> all() {
    return Stream.of(paperManyToMany(), paperOneToMany(), alpa()).flatMap(List::stream);
  }

  private static List<Case> read(String file) {
    try (InputStream in = Cases.class.getResourceAsStream("/cases/" + file)) {
      if (in == null) {
        throw new IllegalStateException("no resource " + file);
      }
      String[] lines = new String(in.readAllBytes(), StandardCharsets.UTF_8).split("\\R", -1);
      String[] names = lines[0].split(",", -1);
      List<Case> cases = new ArrayList<>();
      for (String line : List.of(lines).subList(1, lines.length)) {
        if (!line.isBlank()) {
          String[] fields = line.split(",", -1);
          Map<String, String> row = new HashMap<>();
          IntStream.range(0, names.length).forEach(i -> row.put(names[i], fields[i]));
          cases.add(new Case(file.replace(".csv", "") + " " + fields[0], row));
        }
      }
      return cases;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static List<Long> longs(String text) {
    return Arrays.stream(text.split("x", -1)).map(Long::valueOf).toList();
  }

  private static Mesh mesh(String prefix, String text) {
    List<Integer> shape = Arrays.stream(text.split("x", -1)).map(Integer::valueOf).toList();
    return Mesh.ofHosts(
        shape, IntStream.range(0, shape.getFirst()).mapToObj(i -> prefix + i).toList());
  }
}
