package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.plan.Strategy;
import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.Quad;
import io.crossmesh.transfer.sim.SimCluster;
import io.crossmesh.transfer.sim.SimNetwork;
import io.crossmesh.transfer.sim.SimProcess;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Bits that flip on the way: found, sent again, counted; or the step fails. Never a wrong byte. */
@Timeout(120)
class DamageTest {
  private static final int STEPS = 20;

  @TempDir Path directory;

  private Quad quad(double damagedShare) {
    SimNetwork.Weather weather = SimNetwork.Weather.FAIR.damaging(damagedShare);
    return new Quad(directory, 1 << 20, Cases.options(64, 4), new Random(1), weather);
  }

  private static Quad.Parties open(Quad quad, Strategy strategy) {
    List<SimProcess> all = new ArrayList<>();
    for (String host : List.of("a", "b", "c", "d")) {
      ChannelOpen request = Quad.request("x", host, host.compareTo("c") < 0 ? "S0 S1" : "R S1", 2);
      all.add(quad.host(host).open(Quad.with(request, strategy)));
    }
    quad.cluster().until(() -> all.stream().allMatch(SimProcess::isOpen), Quad.SECOND / 2, "open");
    return new Quad.Parties(all.get(0), all.get(1), all.get(2), all.get(3));
  }

  private static long damaged(Quad quad) {
    return quad.cluster().hosts().stream().mapToLong(h -> h.status().damagedChunks()).sum();
  }

  @ParameterizedTest
  @EnumSource(Strategy.class)
  void damagedChunksAreSentAgain(Strategy strategy) {
    try (Quad quad = quad(0.1)) {
      Quad.Parties x = open(quad, strategy);
      for (long step = 0; step < STEPS; step++) {
        quad.step(x, step);
        assertThat(x.c().outcome(step)).as(x.c().message(step)).isEqualTo("received");
        assertThat(x.d().outcome(step)).as(x.d().message(step)).isEqualTo("received");
        assertThat(x.a().outcome(step)).isEqualTo("delivered");
      }
      assertThat(damaged(quad)).isPositive();
      quad.cluster().hosts().forEach(SimCluster.Host::closeAll);
      quad.cluster().run(Quad.SECOND);
      quad.cluster().hosts().forEach(host -> assertThat(host.arena().used()).isZero());
    }
  }

  @Test
  void whatIsAlwaysDamagedFailsForAll() {
    try (Quad quad = quad(1)) {
      Quad.Parties x = open(quad, Strategy.BROADCAST);
      quad.step(x, 0);
      for (SimProcess process : x.all()) {
        assertThat(process.failure(0)).as(process.message(0)).isEqualTo(Code.TRANSFER_CORRUPTED);
        assertThat(process.message(0)).contains("damaged", "Tensor 'w'");
      }
      quad.cluster().hosts().forEach(SimCluster.Host::closeAll);
      quad.cluster().run(Quad.SECOND);
      quad.cluster().hosts().forEach(host -> assertThat(host.arena().used()).isZero());
    }
  }

  @Test
  void withoutChecksumsDamageGoesUnnoticed() {
    SimNetwork.Weather weather = SimNetwork.Weather.FAIR.damaging(1);
    EngineOptions plain = Cases.options(64, 4).withChecksums(false);
    try (Quad quad = new Quad(directory, 1 << 20, plain, plain, new Random(1), weather)) {
      Quad.Parties x = open(quad, Strategy.BROADCAST);
      assertThatThrownBy(() -> quad.step(x, 0))
          .isInstanceOf(AssertionError.class)
          .hasMessageContaining("byte");
    }
  }
}
