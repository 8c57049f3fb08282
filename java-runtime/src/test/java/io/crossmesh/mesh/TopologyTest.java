package io.crossmesh.mesh;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.CrossmeshException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TopologyTest {
  @Test
  void nicsOfAHostAddUp() {
    Topology topology =
        new Topology(
            new TreeMap<>(Map.of("a", List.of(new Nic(1e9, 1e-5), new Nic(2e9, 3e-5)))), List.of());
    assertThat(topology.bandwidth("a")).isEqualTo(3e9);
    assertThat(topology.latency("a")).isEqualTo(3e-5);
  }

  @Test
  void unknownHostsAreNamed() {
    Topology topology = Topology.uniform(List.of("a", "b"));
    assertThatThrownBy(() -> topology.bandwidth("c"))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("'c'")
        .hasMessageContaining("a, b");
    assertThatThrownBy(
            () -> new Topology(topology.hosts(), List.of(new Limit(List.of("a", "z"), 1e9))))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("'z'");
  }

  @ParameterizedTest
  @ValueSource(doubles = {0, -1, Double.NaN, Double.POSITIVE_INFINITY, 0.5})
  void bandwidthsThatMakeNoSenseAreRefused(double bandwidth) {
    assertThatThrownBy(() -> new Nic(bandwidth, 0)).isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> new Limit(List.of("a"), bandwidth))
        .isInstanceOf(CrossmeshException.class);
  }

  @ParameterizedTest
  @ValueSource(doubles = {-1, Double.NaN, Double.POSITIVE_INFINITY})
  void latenciesThatMakeNoSenseAreRefused(double latency) {
    assertThatThrownBy(() -> new Nic(1e9, latency)).isInstanceOf(CrossmeshException.class);
  }

  @Test
  void hostsWithoutNicsAndRepeatedHostsOfALimitAreRefused() {
    assertThatThrownBy(() -> new Topology(new TreeMap<>(Map.of("a", List.of())), List.of()))
        .isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> new Limit(List.of("a", "a"), 1e9))
        .isInstanceOf(CrossmeshException.class);
    assertThatThrownBy(() -> Topology.uniform(List.of("a"), 1e9, 0, 0))
        .isInstanceOf(CrossmeshException.class);
  }
}
