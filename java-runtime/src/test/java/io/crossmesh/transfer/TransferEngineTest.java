package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.mesh.Mesh;
import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.SimCluster;
import io.crossmesh.transfer.sim.SimNetwork;
import io.crossmesh.transfer.sim.SimProcess;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class TransferEngineTest {
  private static final long SECOND = TimeUnit.SECONDS.toNanos(1);
  private static final Mesh SRC = Mesh.ofHosts(List.of(2, 2), List.of("a", "b"));
  private static final Mesh DST = Mesh.ofHosts(List.of(2, 2), List.of("c", "d"));

  @TempDir Path directory;
  private SimCluster cluster;

  @BeforeEach
  void start() {
    cluster = new SimCluster(new Random(1), SimNetwork.Weather.FAIR, directory, 1 << 20);
    for (String host : List.of("a", "b", "c", "d")) {
      cluster.start(host, Cases.options(64, 4));
    }
    cluster.join();
  }

  @AfterEach
  void stop() {
    cluster.close();
  }

  private SimProcess open(String host, Side side, String layout, int depth) {
    Mesh mesh = side == Side.SRC ? SRC : DST;
    List<Integer> devices =
        IntStream.range(0, mesh.size()).filter(i -> mesh.hostOf(i).equals(host)).boxed().toList();
    return cluster
        .host(host)
        .open(
            Cases.open(
                "x",
                side,
                List.of(Cases.tensor("w", List.of(8L, 24L), "int32", mesh, layout)),
                devices,
                depth));
  }

  @Test
  void carriesStepsFromOneLayoutToAnother() {
    List<SimProcess> senders =
        List.of(open("a", Side.SRC, "S0 S1", 2), open("b", Side.SRC, "S0 S1", 2));
    List<SimProcess> receivers =
        List.of(open("c", Side.DST, "R S0", 2), open("d", Side.DST, "R S0", 2));
    List<SimProcess> all =
        java.util.stream.Stream.concat(senders.stream(), receivers.stream()).toList();
    cluster.until(() -> all.stream().allMatch(SimProcess::isOpen), SECOND, "open");
    for (long step = 0; step < 2; step++) {
      for (SimProcess sender : senders) {
        assertThat(sender.send(step)).isTrue();
      }
      for (SimProcess receiver : receivers) {
        receiver.recv(step);
      }
    }
    cluster.until(() -> all.stream().allMatch(SimProcess::settled), SECOND, "steps");
    for (long step = 0; step < 2; step++) {
      for (SimProcess sender : senders) {
        assertThat(sender.outcome(step)).isEqualTo("delivered");
      }
      for (SimProcess receiver : receivers) {
        assertThat(receiver.outcome(step)).isEqualTo("received");
      }
    }
    all.forEach(process -> process.handle().close());
    cluster.until(() -> all.stream().allMatch(SimProcess::isClosed), SECOND, "closed");
    receivers.forEach(SimProcess::releaseAll);
    cluster.run(SECOND);
    cluster.hosts().forEach(host -> assertThat(host.arena().used()).isZero());
  }
}
