package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.Code;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.plan.Strategy;
import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.Quad;
import io.crossmesh.transfer.sim.SimCluster;
import io.crossmesh.transfer.sim.SimNetwork;
import io.crossmesh.transfer.sim.SimProcess;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Tiles compared by digests: whatever damages bytes after they were sent is found and named. */
@Timeout(120)
class VerifyTest {
  private static final EngineOptions PLAIN = Cases.options(64, 4).withChecksums(false);

  @TempDir Path directory;

  private Quad quad(double damagedShare) {
    SimNetwork.Weather weather = SimNetwork.Weather.FAIR.damaging(damagedShare);
    return new Quad(directory, 1 << 20, PLAIN, PLAIN, new Random(1), weather);
  }

  /** Only {@code c} asks for digests, which is enough. */
  private static Quad.Parties open(Quad quad, Strategy strategy, int depth) {
    List<SimProcess> all = new ArrayList<>();
    for (String host : List.of("a", "b", "c", "d")) {
      String layout = host.compareTo("c") < 0 ? "S0 S1" : "R S1";
      ChannelOpen open = Quad.with(Quad.request("x", host, layout, depth), strategy);
      all.add(quad.host(host).open(host.equals("c") ? open.verified() : open));
    }
    quad.cluster().until(() -> all.stream().allMatch(SimProcess::isOpen), Quad.SECOND / 2, "open");
    return new Quad.Parties(all.get(0), all.get(1), all.get(2), all.get(3));
  }

  private static void closeAndCount(Quad quad) {
    quad.cluster().hosts().forEach(SimCluster.Host::closeAll);
    quad.cluster().run(Quad.SECOND);
    quad.cluster().hosts().forEach(host -> assertThat(host.arena().used()).isZero());
  }

  @ParameterizedTest
  @EnumSource(Strategy.class)
  void whatIsWholeIsHandedOver(Strategy strategy) {
    try (Quad quad = quad(0)) {
      Quad.Parties x = open(quad, strategy, 2);
      for (long step = 0; step < 10; step++) {
        quad.step(x, step);
        assertThat(x.receivers()).extracting(r -> r.failure(0)).containsOnlyNulls();
        assertThat(x.c().outcome(step)).as(x.c().message(step)).isEqualTo("received");
        assertThat(x.d().outcome(step)).as(x.d().message(step)).isEqualTo("received");
        assertThat(x.a().outcome(step)).isEqualTo("delivered");
      }
      closeAndCount(quad);
    }
  }

  @ParameterizedTest
  @EnumSource(Strategy.class)
  void bitsThatFlipOnTheWireWithoutChecksumsEndTheStepForAll(Strategy strategy) {
    try (Quad quad = quad(1)) {
      Quad.Parties x = open(quad, strategy, 2);
      quad.step(x, 0);
      for (SimProcess process : x.all()) {
        assertThat(process.failure(0)).as(process.message(0)).isEqualTo(Code.TRANSFER_CORRUPTED);
        assertThat(process.message(0)).contains("tensor 'w'", "device", "arrived on host");
      }
      closeAndCount(quad);
    }
  }

  /** The second step waits at its sender while the first takes the only landing set. */
  @Test
  void aBitThatFlipsInASendersTileIsFoundThoughChecksumsFitIt() {
    EngineOptions checked = Cases.options(64, 4);
    try (Quad quad =
        new Quad(directory, 1 << 20, checked, checked, new Random(1), SimNetwork.Weather.FAIR)) {
      Quad.Parties x = open(quad, Strategy.BROADCAST, 1);
      sendTwoAndFlipTheSecond(quad, x.senders());
      x.receivers().forEach(receiver -> receiver.recv(0));
      x.receivers().forEach(receiver -> receiver.recv(1));
      quad.settle(x);
      for (SimProcess process : x.all()) {
        assertThat(process.failure(0)).isNull();
        assertThat(process.failure(1)).as(process.message(1)).isEqualTo(Code.TRANSFER_CORRUPTED);
        assertThat(process.message(1)).contains("tensor 'w'", "device 0", "host 'a' sent");
      }
      assertThat(quad.host("c").status().damagedChunks()).isZero();
      closeAndCount(quad);
    }
  }

  @Test
  void aCopyInsideTheHostIsComparedToo() {
    Mesh both = Mesh.ofHosts(List.of(2), List.of("a"));
    try (Quad quad = quad(0)) {
      SimProcess from = open(quad, Side.SRC, both, "S0 R", false);
      SimProcess to = open(quad, Side.DST, both, "R S0", true);
      quad.cluster().until(() -> from.isOpen() && to.isOpen(), Quad.SECOND / 2, "open");
      sendTwoAndFlipTheSecond(quad, List.of(from));
      to.recv(0);
      to.recv(1);
      quad.cluster().until(() -> from.settled() && to.settled(), Quad.SECOND, "settled");
      assertThat(to.outcome(0)).as(to.message(0)).isEqualTo("received");
      for (SimProcess process : List.of(from, to)) {
        assertThat(process.failure(1)).as(process.message(1)).isEqualTo(Code.TRANSFER_CORRUPTED);
        assertThat(process.message(1)).contains("tensor 'w'", "host 'a' sent", "on host 'a'");
      }
      closeAndCount(quad);
    }
  }

  private static void sendTwoAndFlipTheSecond(Quad quad, List<SimProcess> senders) {
    for (long step : List.of(0L, 1L)) {
      senders.forEach(sender -> assertThat(sender.send(step)).isTrue());
      quad.cluster().run(Quad.SECOND / 100);
    }
    MemorySegment arena = senders.getFirst().host().arena().segment();
    OpenInfo info = senders.getFirst().info();
    long at = info.stagingSets().getFirst() + info.tiles().getFirst().offset() + 5;
    arena.set(ValueLayout.JAVA_BYTE, at, (byte) (arena.get(ValueLayout.JAVA_BYTE, at) ^ 0x10));
  }

  private static SimProcess open(Quad quad, Side side, Mesh mesh, String layout, boolean verify) {
    ChannelOpen open =
        Cases.open(
            "x",
            side,
            List.of(Cases.tensor("w", List.of(8L, 1L << 10), "int32", mesh, layout)),
            IntStream.range(0, mesh.size()).boxed().toList(),
            1);
    return quad.host("a").open(verify ? open.verified() : open);
  }
}
