package io.crossmesh.plan;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.mesh.Topology;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class PlanDigestTest {
  private static final Mesh SRC = Mesh.ofHosts(List.of(2, 2), List.of("a", "b"));
  private static final Mesh DST = Mesh.ofHosts(List.of(2, 2), List.of("c", "d"));
  private static final List<String> HOSTS = List.of("a", "b", "c", "d");

  private static PlanRequest request() {
    return new PlanRequest(
        List.of(reshard("w", "float32", "S0 S1", "R S0")),
        Topology.uniform(HOSTS, 1.25e9, 50e-6, 1),
        Strategy.BROADCAST,
        Order.SIZE);
  }

  private static TensorReshard reshard(String key, String dtype, String from, String to) {
    return new TensorReshard(
        new TensorSpec(key, List.of(12L, 10L), DType.of(dtype)),
        Sharding.parse(SRC, from),
        Sharding.parse(DST, to));
  }

  private static String digest(
      TensorReshard tensor, Topology topology, Strategy strategy, Order order) {
    return Planner.plan(new PlanRequest(List.of(tensor), topology, strategy, order)).digest();
  }

  /** Agents of different builds compare digests: this value changes with the encoding only. */
  @Test
  void theDigestOfAFixedRequestIsFixed() {
    assertThat(Planner.plan(request()).digest())
        .isEqualTo("57c68299ca6e251283918abec1680d676bd4793d46650752847e0fbfe443b6ea");
  }

  /** The Python client's tests have the same two. */
  @Test
  void theDigestsOfTwoInputsAreThoseThatPythonSees() {
    Topology topology = Topology.uniform(HOSTS, 1.25e9, 50e-6, 1);
    TensorReshard one =
        new TensorReshard(
            new TensorSpec("", List.of(1024L, 768L), DType.of("bfloat16")),
            Sharding.parse(SRC, "S01 R"),
            Sharding.parse(DST, "R S1"));
    assertThat(
            Planner.plan(new PlanRequest(List.of(one), topology, Strategy.AUTO, Order.OPTIMAL))
                .digest())
        .isEqualTo("1adaa1bf4caf3a8b5e24c0636f487a4cb2102b7eaa5a2952c59b17e957614e3f");
    List<TensorReshard> tree =
        List.of(
            reshard("['b']", "float32", "S0 R", "S1 R").by(0.5),
            reshard("['w']", "int8", "S0 S1", "R S0"));
    assertThat(
            Planner.plan(new PlanRequest(tree, topology, Strategy.SEND_RECV, Order.SIZE)).digest())
        .isEqualTo("21dc2fb3c29abcfe0e0e087268501b311b11fbb99a04e7ed46ca0f5ae1158e5a");
  }

  @Test
  void everyInputChangesTheDigest() {
    TensorReshard tensor = reshard("w", "float32", "S0 S1", "R S0");
    Topology topology = Topology.uniform(HOSTS, 1.25e9, 50e-6, 1);
    List<String> digests = new ArrayList<>();
    digests.add(digest(tensor, topology, Strategy.BROADCAST, Order.SIZE));
    digests.add(digest(tensor, topology, Strategy.SEND_RECV, Order.SIZE));
    digests.add(digest(tensor, topology, Strategy.AUTO, Order.SIZE));
    digests.add(digest(tensor, topology, Strategy.BROADCAST, Order.NAIVE));
    digests.add(
        digest(tensor, Topology.uniform(HOSTS, 1.25e9, 51e-6, 1), Strategy.BROADCAST, Order.SIZE));
    digests.add(
        digest(tensor, Topology.uniform(HOSTS, 1e9, 50e-6, 1), Strategy.BROADCAST, Order.SIZE));
    digests.add(
        digest(reshard("v", "float32", "S0 S1", "R S0"), topology, Strategy.BROADCAST, Order.SIZE));
    digests.add(
        digest(reshard("w", "int32", "S0 S1", "R S0"), topology, Strategy.BROADCAST, Order.SIZE));
    digests.add(
        digest(reshard("w", "float32", "S1 S0", "R S0"), topology, Strategy.BROADCAST, Order.SIZE));
    digests.add(
        digest(reshard("w", "float32", "S0 S1", "S0 R"), topology, Strategy.BROADCAST, Order.SIZE));
    digests.add(digest(tensor.by(0), topology, Strategy.BROADCAST, Order.SIZE));
    digests.add(digest(tensor.by(1), topology, Strategy.BROADCAST, Order.SIZE));
    assertThat(digests).doesNotHaveDuplicates().allMatch(d -> d.matches("[0-9a-f]{64}"));
  }

  @Test
  void equalLayoutsInOtherObjectsHaveTheSameDigest() {
    TensorReshard first = reshard("v", "float32", "S0 S1", "R S0");
    TensorReshard shared =
        new TensorReshard(
            new TensorSpec("w", List.of(12L, 10L), DType.of("float32")), first.src(), first.dst());
    TensorReshard apart = reshard("w", "float32", "S0 S1", "R S0");
    Topology topology = Topology.uniform(HOSTS);
    assertThat(
            Planner.plan(
                    new PlanRequest(List.of(first, shared), topology, Strategy.AUTO, Order.SIZE))
                .digest())
        .isEqualTo(
            Planner.plan(
                    new PlanRequest(List.of(first, apart), topology, Strategy.AUTO, Order.SIZE))
                .digest());
  }
}
