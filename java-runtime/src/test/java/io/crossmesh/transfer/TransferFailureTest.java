package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.Code;
import io.crossmesh.memory.Slot;
import io.crossmesh.plan.Plan;
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

/** Each way in which a channel fails: who is told what, and that nothing else is touched. */
@Timeout(60)
class TransferFailureTest {
  @TempDir Path directory;
  private Quad quad;
  private Quad.Parties bystander;

  @BeforeEach
  void start() {
    quad = new Quad(directory, 1 << 20);
    bystander = quad.open("bystander", 1);
    quad.step(bystander, 0);
  }

  /** Whatever failed: another channel of the same hosts goes on, and all memory returns. */
  @AfterEach
  void othersLiveOnAndMemoryReturns() {
    if (bystander.all().stream().noneMatch(SimProcess::isOver)) {
      quad.step(bystander, 1);
      assertThat(bystander.d().outcome(1)).isEqualTo("received");
    }
    for (SimCluster.Host host : quad.cluster().hosts()) {
      host.closeAll();
    }
    quad.cluster().run(10 * Quad.SECOND);
    for (SimCluster.Host host : quad.cluster().hosts()) {
      if (!host.transport().isDead()) {
        assertThat(host.arena().used()).as(host.name()).isZero();
      }
    }
    quad.close();
  }

  private static void assertFailed(List<SimProcess> processes, Code code, String... words) {
    for (SimProcess process : processes) {
      assertThat(process.channelCode()).as(process.channelMessage()).contains(code);
      assertThat(process.channelMessage()).contains(words);
    }
  }

  private static void assertStepFailed(
      List<SimProcess> processes, long step, Code code, String... words) {
    for (SimProcess process : processes) {
      assertThat(process.failure(step)).as(process.message(step)).isEqualTo(code);
      assertThat(process.message(step)).contains(words(words));
    }
  }

  /** At least one, as the assertion wants. */
  private static String[] words(String... words) {
    return words.length == 0 ? new String[] {" "} : words;
  }

  private List<SimProcess> openAll(ChannelOpen... requests) {
    return List.of(requests).stream()
        .map(request -> quad.host(hostOf(request)).open(request))
        .toList();
  }

  private static String hostOf(ChannelOpen request) {
    return request.tensors().getFirst().layout().mesh().hostOf(request.devices().getFirst());
  }

  private static ChannelOpen other(ChannelOpen open, List<Long> shape, String dtype) {
    TensorSide was = open.tensors().getFirst();
    return Cases.open(
        open.name(),
        open.side(),
        List.of(Cases.tensor("w", shape, dtype, was.layout().mesh(), was.layout().toString())),
        open.devices(),
        open.depth());
  }

  @Test
  void shapesThatDiffer() {
    List<SimProcess> all =
        openAll(
            Quad.request("x", "a", "S0 S1", 1),
            Quad.request("x", "b", "S0 S1", 1),
            other(Quad.request("x", "c", "R S0", 1), List.of(8L, 25L), "int32"),
            other(Quad.request("x", "d", "R S0", 1), List.of(8L, 25L), "int32"));
    quad.over(all);
    assertFailed(
        all,
        Code.PLAN_MISMATCH,
        "'w'",
        "[8, 24]",
        "[8, 25]",
        "source host",
        "destination host",
        "S0 S1");
  }

  @Test
  void dtypesThatDiffer() {
    List<SimProcess> all =
        openAll(
            Quad.request("x", "a", "S0 S1", 1),
            Quad.request("x", "b", "S0 S1", 1),
            other(Quad.request("x", "c", "R S0", 1), List.of(8L, 24L), "float32"),
            other(Quad.request("x", "d", "R S0", 1), List.of(8L, 24L), "float32"));
    quad.over(all);
    assertFailed(all, Code.PLAN_MISMATCH, "int32", "float32");
  }

  @Test
  void processesOfOneSideThatDiffer() {
    List<SimProcess> all =
        openAll(Quad.request("x", "a", "S0 S1", 1), Quad.request("x", "b", "S1 S0", 1));
    quad.over(all);
    assertFailed(all, Code.PLAN_MISMATCH, "S0 S1", "S1 S0");
  }

  @Test
  void strategiesThatDiffer() {
    List<SimProcess> all =
        openAll(
            Quad.with(Quad.request("x", "a", "S0 S1", 1), Strategy.BROADCAST),
            Quad.request("x", "b", "S0 S1", 1),
            Quad.with(Quad.request("x", "c", "R S0", 1), Strategy.SEND_RECV),
            Quad.request("x", "d", "R S0", 1));
    quad.over(all);
    assertFailed(all, Code.PLAN_MISMATCH, "strategy", "broadcast", "send_recv");
  }

  /** Options of a host that comes to another digest than the others. */
  private static EngineOptions wayward() {
    return EngineOptions.defaults()
        .withPlanner(
            request -> {
              Plan plan = Cases.chunksOf(64).apply(request);
              return new Plan(
                  plan.request(),
                  plan.chosen(),
                  plan.tasks(),
                  plan.moves(),
                  plan.makespan(),
                  plan.lowerBound(),
                  plan.bytesSent(),
                  plan.bytesReceived(),
                  "0".repeat(64));
            });
  }

  @Test
  void whoHasNotSeenAllClaimsYetIsToldToo() throws Exception {
    for (int seed = 0; seed < 200; seed++) {
      Path own = java.nio.file.Files.createDirectory(directory.resolve("seed" + seed));
      SimNetwork.Weather uneven = new SimNetwork.Weather(300_000, 0.5, 0.5, 300_000);
      try (Quad mixed = new Quad(own, 1 << 16, wayward(), new Random(seed), uneven)) {
        Quad.Parties x = mixed.start("x", 1);
        mixed.over(x.all());
        for (SimProcess process : x.all()) {
          assertThat(process.channelCode()).as("seed " + seed).contains(Code.PLAN_MISMATCH);
        }
      }
    }
  }

  @Test
  void digestsThatDiffer() throws Exception {
    Path other = java.nio.file.Files.createDirectory(directory.resolve("other"));
    try (Quad mixed = new Quad(other, 1 << 20, wayward())) {
      Quad.Parties x = mixed.start("x", 1);
      mixed.over(x.all());
      assertFailed(x.all(), Code.PLAN_MISMATCH, "digest", "'d'", "000000");
      mixed.cluster().run(Quad.SECOND);
      mixed.cluster().hosts().forEach(host -> assertThat(host.arena().used()).isZero());
    }
  }

  @Test
  void openingsThatNobodyJoins() {
    List<SimProcess> all =
        openAll(Quad.request("x", "a", "S0 S1", 1), Quad.request("x", "c", "R S0", 1));
    quad.over(all);
    assertFailed(
        all,
        Code.TRANSFER_TIMEOUT,
        "source devices [2, 3] of host 'b' are not claimed",
        "destination devices [2, 3] of host 'd' are not claimed");
  }

  @Test
  void arenasThatAreTooSmall() {
    try (Slot taken = quad.host("d").arena().allocate(900 << 10, "the test")) {
      assertThat(taken.bytes()).isEqualTo(900 << 10);
      Quad.Parties x = quad.start("x", 500);
      quad.over(x.all());
      assertFailed(x.all(), Code.ARENA_FULL, "Host 'd'", "the test", "landing sets");
    }
  }

  @Test
  void receiversThatAreAhead() {
    Quad.Parties x = quad.open("x", 2);
    x.receivers().forEach(receiver -> receiver.recv(0));
    x.senders().forEach(sender -> sender.send(1));
    quad.settle(x);
    assertStepFailed(x.receivers(), 0, Code.STEP_MISMATCH, "Step 0", "step 1");
    assertStepFailed(x.senders(), 1, Code.STEP_MISMATCH, "Step 0", "step 1");
    quad.step(x, 2);
    assertThat(x.c().outcome(2)).isEqualTo("received");
  }

  /** The senders have gone past a step before anybody asked for it. */
  @Test
  void receiversThatAskTooLate() {
    Quad.Parties x = quad.open("x", 2);
    x.senders().forEach(sender -> sender.send(1));
    quad.settle(new Quad.Parties(x.a(), x.b(), x.a(), x.b()));
    x.receivers().forEach(receiver -> receiver.recv(0));
    quad.settle(x);
    assertStepFailed(x.receivers(), 0, Code.STEP_MISMATCH, "Step 0", "step 1");
    x.receivers().forEach(receiver -> receiver.recv(1));
    quad.settle(x);
    quad.step(x, 2);
    assertThat(x.c().outcome(2)).isEqualTo("received");
  }

  @Test
  void sendersThatDisagree() {
    Quad.Parties x = quad.open("x", 2);
    x.a().send(0);
    x.b().send(1);
    quad.settle(x);
    assertStepFailed(List.of(x.a()), 0, Code.STEP_MISMATCH, "host 'b'");
    assertStepFailed(List.of(x.b()), 1, Code.STEP_MISMATCH, "host 'b'");
    x.receivers().forEach(receiver -> receiver.recv(0));
    quad.settle(x);
    assertStepFailed(x.receivers(), 0, Code.STEP_MISMATCH);
  }

  @Test
  void stepsThatGoBackwards() {
    Quad.Parties x = quad.open("x", 2);
    quad.step(x, 5);
    x.c().recv(3);
    quad.settle(x);
    assertStepFailed(List.of(x.c()), 3, Code.STEP_MISMATCH, "comes after step 5");
    quad.step(x, 6);
    assertThat(x.c().outcome(6)).isEqualTo("received");
  }

  @Test
  void stepsThatNobodySends() {
    Quad.Parties x = quad.open("x", 2);
    x.receivers().forEach(receiver -> receiver.recv(0));
    x.a().send(0);
    quad.settle(x);
    assertStepFailed(
        List.of(x.a(), x.c(), x.d()), 0, Code.TRANSFER_TIMEOUT, "Tensor 'w'", "1.000 s");
    x.b().send(0);
    quad.settle(x);
    assertStepFailed(List.of(x.b()), 0, Code.TRANSFER_TIMEOUT);
    quad.step(x, 1);
    assertThat(x.c().outcome(1)).isEqualTo("received");
  }

  @Test
  void stepsThatAreCancelled() {
    Quad.Parties x = quad.open("x", 1);
    x.senders().forEach(sender -> sender.send(0));
    x.c().recv(0);
    x.c().handle().cancel(0, Code.TRANSFER_CANCELLED, "loss is NaN");
    quad.cluster().run(Quad.SECOND / 4);
    x.d().recv(0);
    quad.settle(x);
    assertStepFailed(x.receivers(), 0, Code.TRANSFER_CANCELLED, "loss is NaN", "host 'c'");
    quad.step(x, 1);
    assertThat(x.d().outcome(1)).isEqualTo("received");
  }

  @Test
  void channelsThatAreAborted() {
    Quad.Parties x = quad.open("x", 1);
    x.receivers().forEach(receiver -> receiver.recv(0));
    x.a().handle().abort("loss is NaN");
    quad.over(x.all());
    assertFailed(x.all(), Code.TRANSFER_CANCELLED, "loss is NaN", "host 'a'");
  }

  @Test
  void sendersThatClose() {
    Quad.Parties x = quad.open("x", 1);
    x.receivers().forEach(receiver -> receiver.recv(0));
    x.senders().forEach(sender -> sender.handle().close());
    quad.settle(x);
    assertStepFailed(x.receivers(), 0, Code.TRANSFER_CANCELLED, "closed its end", "before any");
    x.c().recv(1);
    quad.settle(x);
    assertStepFailed(List.of(x.c()), 1, Code.TRANSFER_CANCELLED);
  }

  @Test
  void receiversThatClose() {
    Quad.Parties x = quad.open("x", 1);
    quad.step(x, 0);
    x.c().handle().close();
    quad.over(List.of(x.c()));
    x.senders().forEach(sender -> sender.send(1));
    x.d().recv(1);
    quad.settle(x);
    assertStepFailed(
        List.of(x.a(), x.b(), x.d()), 1, Code.TRANSFER_CANCELLED, "'c'", "after step 0");
  }

  @Test
  void hostsThatAreLost() {
    Quad.Parties x = quad.open("x", 1);
    x.receivers().forEach(receiver -> receiver.recv(0));
    quad.host("b").die();
    List<SimProcess> rest = List.of(x.a(), x.c(), x.d());
    quad.over(rest);
    quad.over(List.of(bystander.a(), bystander.c(), bystander.d()));
    assertFailed(rest, Code.PEER_LOST, "Host 'b' is lost", "Tensor 'w'", "'S0 S1'", "'R S0'");
  }

  @Test
  void hostsThatComeBack() {
    Quad.Parties x = quad.open("x", 1);
    quad.host("b").die();
    quad.over(List.of(x.a(), x.c(), x.d()));
    quad.cluster().start("b", Cases.options(64, 4));
    quad.cluster().join();
    Quad.Parties again = quad.open("x", 1);
    quad.step(again, 0);
    assertThat(again.c().outcome(0)).isEqualTo("received");
  }

  @Test
  void processesThatDie() {
    Quad.Parties x = quad.open("x", 2);
    x.c().keep(10);
    quad.step(x, 0);
    x.c().kill();
    List<SimProcess> rest = List.of(x.a(), x.b(), x.d());
    quad.over(rest);
    assertFailed(rest, Code.PEER_LOST, "process of x", "host 'c'", "killed");
  }

  @Test
  void stoppedHostsOnlyTimeTheirStepsOut() {
    Quad.Parties x = quad.open("x", 1);
    quad.cluster().stall(quad.host("d"), true);
    x.senders().forEach(sender -> sender.send(0));
    x.c().recv(0);
    quad.cluster()
        .until(
            () -> x.a().settled() && x.b().settled() && x.c().settled(),
            2 * Quad.SECOND,
            "timeout");
    assertStepFailed(List.of(x.a(), x.b(), x.c()), 0, Code.TRANSFER_TIMEOUT);
    quad.cluster().stall(quad.host("d"), false);
    x.d().recv(0);
    quad.settle(x);
    assertStepFailed(List.of(x.d()), 0, Code.TRANSFER_TIMEOUT);
    quad.step(x, 1);
    assertThat(x.d().outcome(1)).isEqualTo("received");
  }
}
