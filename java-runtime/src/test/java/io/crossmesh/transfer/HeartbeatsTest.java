package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.Code;
import io.crossmesh.plan.Strategy;
import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.Quad;
import io.crossmesh.transfer.sim.SimCluster;
import io.crossmesh.transfer.sim.SimNetwork;
import io.crossmesh.transfer.sim.SimProcess;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Hosts that fall silent while the connections to them stand, and those that only seem to. */
@Timeout(60)
class HeartbeatsTest {
  private static final SimNetwork.Weather SLOW = new SimNetwork.Weather(10_000, 0, 0, 200_000);
  private static final EngineOptions OPTIONS = Cases.options(64, 2).withSilence(Quad.SECOND / 2);
  private static final long SILENCE = OPTIONS.silenceNanos();

  /** What a host may take to be lost: a beat more than the silence, and messages on their way. */
  private static final long NOTICED = SILENCE + 2 * SILENCE / Heartbeats.BEATS;

  @TempDir Path directory;
  private Quad quad;

  @BeforeEach
  void start() {
    quad = new Quad(directory, 1 << 20, OPTIONS, OPTIONS, new Random(1), SLOW);
  }

  @AfterEach
  void end() {
    quad.close();
  }

  private boolean isConnected(String host, String peer) {
    return quad.host(host).status().peers().stream()
        .anyMatch(p -> p.host().equals(peer) && p.connected());
  }

  private long controlMessages() {
    return quad.cluster().hosts().stream()
        .mapToLong(host -> host.status().traffic().controlMessagesSent())
        .sum();
  }

  @Test
  void aRelayThatIsCutOffIsLostAndWhatItWasToForwardComesFromElsewhere() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.BROADCAST);
    String relay = x.a().info().plan().moves().getFirst().route().get(1);
    SimProcess cut = relay.equals("c") ? x.c() : x.d();
    SimProcess other = relay.equals("c") ? x.d() : x.c();
    x.senders().forEach(sender -> sender.send(0));
    x.receivers().forEach(receiver -> receiver.recv(0));
    quad.cluster().run(100_000);
    assertThat(other.outcome(0)).isEmpty();
    quad.host(relay).cutOff();
    long since = quad.cluster().now();
    quad.over(List.of(x.a(), x.b(), other));
    assertThat(quad.cluster().now() - since).isBetween(SILENCE, NOTICED);
    assertThat(other.outcome(0)).as(other.message(0)).isEqualTo("received");
    for (SimProcess sender : x.senders()) {
      assertThat(sender.failure(0)).isEqualTo(Code.PEER_LOST);
      assertThat(sender.message(0))
          .contains("Host '" + relay + "'", "nothing came of it for 0.5 s");
    }
    quad.over(List.of(cut));
    assertThat(cut.channelCode()).contains(Code.PEER_LOST);
    quad.cluster().hosts().forEach(SimCluster.Host::closeAll);
    quad.cluster().run(Quad.SECOND);
    quad.cluster().hosts().forEach(host -> assertThat(host.arena().used()).isZero());
  }

  @Test
  void aHostThatIsStoppedForLessIsNotLost() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.BROADCAST);
    x.senders().forEach(sender -> sender.send(0));
    x.receivers().forEach(receiver -> receiver.recv(0));
    quad.cluster().run(100_000);
    quad.cluster().stall(quad.host("c"), true);
    quad.cluster().run(SILENCE * 7 / 8);
    assertThat(x.d().channelCode()).isEmpty();
    quad.cluster().stall(quad.host("c"), false);
    quad.settle(x);
    x.receivers().forEach(r -> assertThat(r.outcome(0)).as(r.message(0)).isEqualTo("received"));
  }

  @Test
  void anOpenChannelMayBeIdle() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.BROADCAST);
    long before = controlMessages();
    quad.cluster().run(600 * Quad.SECOND);
    long beats = 600 * Quad.SECOND / (SILENCE / Heartbeats.BEATS);
    assertThat(controlMessages() - before).isBetween(beats, 12 * 2 * beats);
    x.all().forEach(process -> assertThat(process.channelCode()).isEmpty());
    quad.step(x, 0);
    x.receivers().forEach(r -> assertThat(r.outcome(0)).isEqualTo("received"));
  }

  @Test
  void withoutChannelsNobodyIsAsked() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.BROADCAST);
    x.all().forEach(process -> process.handle().close());
    quad.over(x.all());
    quad.cluster().run(SILENCE);
    long before = controlMessages();
    quad.cluster().run(100 * SILENCE);
    assertThat(controlMessages()).isEqualTo(before);
    assertThat(quad.host("a").engine().nanosToDeadline(Long.MAX_VALUE)).isEqualTo(Long.MAX_VALUE);
  }

  @Test
  void whoHasClosedItsEndStillAnswers() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.BROADCAST);
    List.of(x.c(), x.d()).forEach(process -> process.handle().close());
    quad.cluster().run(10 * SILENCE);
    for (String host : List.of("a", "b", "c", "d")) {
      for (String peer : List.of("a", "b", "c", "d")) {
        assertThat(host.equals(peer) || isConnected(host, peer)).as(host + peer).isTrue();
      }
    }
  }

  @Test
  void whoWasCutOffJoinsAgainInTheSameLife() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.BROADCAST);
    quad.host("d").cutOff();
    quad.over(x.all());
    quad.cluster().run(SILENCE);
    quad.host("d").comeBack();
    quad.cluster().join();
    // Who had not noticed yet loses it now, and asks for it again, as agents do until it is there.
    quad.cluster().run(SILENCE);
    quad.cluster().join();
    Quad.Parties again = quad.open("S0 R", "R R", Strategy.BROADCAST);
    quad.step(again, 0);
    again.receivers().forEach(r -> assertThat(r.outcome(0)).isEqualTo("received"));
  }
}
