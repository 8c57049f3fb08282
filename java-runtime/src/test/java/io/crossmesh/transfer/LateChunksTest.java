package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.Code;
import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.Quad;
import io.crossmesh.transfer.sim.SimNetwork;
import io.crossmesh.transfer.sim.SimProcess;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Chunks of a cancelled step that are still landing never reach the memory of a later one. */
@Timeout(60)
class LateChunksTest {
  /** Messages are quick, payloads land up to 5 ms later, and none is copied at once. */
  private static final SimNetwork.Weather SLOW_PAYLOADS =
      new SimNetwork.Weather(20_000, 0, 0, 5_000_000);

  @TempDir Path directory;

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
  void setsOfCancelledStepsStayTakenUntilNothingLandsInThem(long seed) {
    Random dice = new Random(seed);
    try (Quad quad = new Quad(directory, 1 << 20, Cases.options(64, 4), dice, SLOW_PAYLOADS)) {
      Quad.Parties x = quad.open("x", 2);
      x.receivers().forEach(receiver -> receiver.keep(1));
      for (long step = 0; step < 20; step += 2) {
        long cancelled = step;
        x.receivers().forEach(receiver -> receiver.recv(cancelled));
        x.senders().forEach(sender -> sender.send(cancelled));
        quad.cluster().run(200_000 + dice.nextInt(1_000_000));
        x.a().handle().cancel(cancelled, Code.TRANSFER_CANCELLED, "tried");
        quad.step(x, step + 1);
        quad.cluster().run(10_000_000);
        assertThat(x.c().outcome(step + 1)).isEqualTo("received");
        assertThat(x.d().outcome(step + 1)).isEqualTo("received");
      }
      x.receivers().forEach(SimProcess::releaseAll);
      quad.cluster().run(Quad.SECOND / 4);
    }
  }
}
