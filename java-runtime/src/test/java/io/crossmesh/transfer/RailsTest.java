package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.Quad;
import io.crossmesh.transfer.sim.SimNetwork;
import io.crossmesh.transfer.sim.SimProcess;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Over several network cards a chunk is announced while bytes of earlier ones, which their sender
 * counts as sent, are still on another card: more chunks than a window are on their way to scratch
 * memory for one window.
 */
@Timeout(60)
class RailsTest {
  private static final int STEPS = 12;
  private static final int AHEAD = 4;

  /** Every payload is sent when it is asked for and lands up to 5 ms later. */
  private static final SimNetwork.Weather RAILS = new SimNetwork.Weather(20_000, 0, 1, 5_000_000);

  @TempDir Path directory;

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
  void announcementsThatOvertakePayloadsWaitForScratchMemory(long seed) {
    try (Quad quad = new Quad(directory, 1 << 16, Cases.options(64, 4), new Random(seed), RAILS)) {
      List<SimProcess> all = new ArrayList<>();
      for (String host : List.of("a", "b", "c", "d")) {
        String layout = Quad.SRC.hosts().contains(host) ? "S0 S1" : "S0 R";
        all.add(quad.host(host).open(Quad.request("x", host, layout, AHEAD)).keep(0));
      }
      quad.cluster()
          .until(() -> all.stream().allMatch(SimProcess::isOpen), Quad.SECOND / 2, "it opens");
      long reserved = quad.host("c").arena().used();
      for (long step = 0; step < STEPS; step += AHEAD) {
        for (long ahead = step; ahead < step + AHEAD; ahead++) {
          long number = ahead;
          all.subList(0, 2).forEach(sender -> assertThat(sender.send(number)).isTrue());
          all.subList(2, 4).forEach(receiver -> receiver.recv(number));
        }
        quad.cluster()
            .until(() -> all.stream().allMatch(SimProcess::settled), Quad.SECOND, "settled");
      }
      for (long step = 0; step < STEPS; step++) {
        assertThat(all.get(2).outcome(step)).isEqualTo("received");
        assertThat(all.get(3).outcome(step)).isEqualTo("received");
      }
      assertThat(quad.host("c").arena().used()).isEqualTo(reserved);
    }
  }
}
