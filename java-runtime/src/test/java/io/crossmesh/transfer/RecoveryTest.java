package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.Code;
import io.crossmesh.plan.Strategy;
import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.LossScenario;
import io.crossmesh.transfer.sim.Quad;
import io.crossmesh.transfer.sim.SimCluster;
import io.crossmesh.transfer.sim.SimNetwork;
import io.crossmesh.transfer.sim.SimProcess;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Hosts that are lost in the middle of a step: who can complete does, the others learn why not. */
@Timeout(120)
class RecoveryTest {
  private static final SimNetwork.Weather SLOW = new SimNetwork.Weather(10_000, 0, 0, 200_000);

  @TempDir Path directory;
  private Quad quad;

  @BeforeEach
  void start() {
    EngineOptions options = Cases.options(64, 2);
    quad = new Quad(directory, 1 << 20, options, options, new Random(1), SLOW);
  }

  /** Everybody takes part in step 0, and a host dies when some of it has landed there. */
  private void lose(Quad.Parties x, String host) {
    lose(x, host, SimCluster.Host::die);
  }

  private void lose(Quad.Parties x, String host, Consumer<SimCluster.Host> how) {
    x.senders().forEach(sender -> sender.send(0));
    x.receivers().forEach(receiver -> receiver.recv(0));
    quad.cluster()
        .until(
            () -> x.receivers().stream().anyMatch(r -> received(r.host()) > 128),
            Quad.SECOND,
            "something has landed");
    assertThat(x.receivers()).allMatch(receiver -> receiver.outcome(0).isEmpty());
    how.accept(quad.host(host));
    quad.over(x.all().stream().filter(process -> !process.host().name().equals(host)).toList());
  }

  private static long received(SimCluster.Host host) {
    return host.status().traffic().bulkBytesReceived();
  }

  @AfterEach
  void memoryReturns() {
    quad.cluster().hosts().forEach(SimCluster.Host::closeAll);
    quad.cluster().run(Quad.SECOND);
    for (SimCluster.Host host : quad.cluster().hosts()) {
      if (!host.transport().isDead()) {
        assertThat(host.arena().used()).as(host.name()).isZero();
      }
    }
    quad.close();
  }

  private static void assertLost(SimProcess process, String... words) {
    assertThat(process.failure(0)).as(process.message(0)).isEqualTo(Code.PEER_LOST);
    assertThat(process.message(0)).contains(words);
    assertThat(process.channelCode()).contains(Code.PEER_LOST);
  }

  @Test
  void whatARelayWasToForwardComesFromTheSource() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.BROADCAST);
    String relay = x.a().info().plan().moves().getFirst().route().get(1);
    SimProcess other = relay.equals("c") ? x.d() : x.c();
    lose(x, relay);
    assertThat(other.outcome(0)).as(other.message(0)).isEqualTo("received");
    x.senders().forEach(sender -> assertLost(sender, "Host '" + relay + "'", "Tensor 'w'"));
  }

  @Test
  void whatASourceWasToSendComesFromItsReplica() {
    Quad.Parties x = quad.open("R R", "S0 R", Strategy.SEND_RECV);
    lose(x, "a");
    x.receivers().forEach(r -> assertThat(r.outcome(0)).as(r.message(0)).isEqualTo("received"));
    assertThat(x.b().outcome(0)).isEqualTo("delivered");
  }

  @Test
  void aReplicaThatThePlanDoesNotReadIsStagedToo() {
    Quad.Parties x = quad.open("S1 R", "S0 R", Strategy.BROADCAST);
    x.senders().forEach(sender -> assertThat(sender.info().tiles()).hasSize(2));
    lose(x, x.a().info().plan().moves().getFirst().route().getFirst());
    x.receivers().forEach(r -> assertThat(r.outcome(0)).as(r.message(0)).isEqualTo("received"));
  }

  @Test
  void anAgentThatIsStoppedLeavesLikeOneThatIsLost() {
    Quad.Parties x = quad.open("S1 R", "S0 R", Strategy.BROADCAST);
    String first = x.a().info().plan().moves().getFirst().route().getFirst();
    lose(x, first, host -> host.engine().close());
    x.receivers().forEach(r -> assertThat(r.outcome(0)).as(r.message(0)).isEqualTo("received"));
    for (SimProcess process : x.all()) {
      assertThat(process.channelCode()).contains(Code.PEER_LOST);
    }
  }

  @Test
  void withoutAReplicaThoseFailThatMissSomethingWithHostAndTensor() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.SEND_RECV);
    lose(x, "a");
    for (SimProcess process : x.receivers()) {
      if (!process.outcome(0).equals("received")) {
        assertLost(process, "Host 'a'", "'w'", "Step 0", "connection reset", "Start its agent");
      }
    }
    assertThat(x.receivers()).anyMatch(process -> process.outcome(0).equals("failed"));
    assertLost(x.b(), "Host 'a'");
  }

  @Test
  void stepsThatBeginLaterFailAtOnce() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.BROADCAST);
    quad.step(x, 0);
    quad.host("b").die();
    quad.over(List.of(x.a(), x.c(), x.d()));
    assertThat(x.c().outcome(0)).isEqualTo("received");
    for (SimProcess process : List.of(x.a(), x.c(), x.d())) {
      assertThat(process.channelCode()).contains(Code.PEER_LOST);
      assertThat(process.channelMessage()).contains("Host 'b' is lost");
    }
  }

  @Test
  void landedStepsAreThereForWhoAsksLater() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.BROADCAST);
    x.senders().forEach(sender -> sender.send(0));
    quad.cluster().run(Quad.SECOND / 10);
    quad.host("b").die();
    quad.cluster().run(Quad.SECOND / 10);
    x.receivers().forEach(receiver -> receiver.recv(0));
    quad.over(List.of(x.a(), x.c(), x.d()));
    assertThat(x.c().outcome(0)).isEqualTo("received");
    assertThat(x.d().outcome(0)).isEqualTo("received");
    assertThat(x.a().outcome(0)).isEqualTo("delivered");
  }

  @Test
  void whatALostHostHadToldOnlySomeTheyTellTheOthers() {
    Quad.Parties x = quad.open("S0 R", "R R", Strategy.SEND_RECV);
    x.senders().forEach(sender -> sender.send(0));
    x.c().recv(0);
    quad.host("b").transport().cutOff();
    x.d().handle().cancel(0, Code.TRANSFER_CANCELLED, "loss is NaN");
    quad.cluster()
        .until(
            () -> x.a().failure(0) == Code.TRANSFER_CANCELLED, Quad.SECOND / 10, "a has been told");
    quad.host("b").transport().comeBack();
    quad.host("d").die();
    quad.over(List.of(x.a(), x.b(), x.c()));
    for (SimProcess process : List.of(x.a(), x.b(), x.c())) {
      assertThat(process.failure(0)).as(process.message(0)).isEqualTo(Code.TRANSFER_CANCELLED);
    }
  }

  @Test
  void randomLosses() throws Exception {
    for (long seed = 0; seed < 300; seed++) {
      Path own = Files.createDirectory(directory.resolve("seed" + seed));
      try {
        new LossScenario(seed, own).run();
      } catch (AssertionError | RuntimeException e) {
        throw new AssertionError("seed " + seed, e);
      }
    }
  }
}
