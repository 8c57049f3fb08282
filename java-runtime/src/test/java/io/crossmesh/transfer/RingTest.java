package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.Code;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.plan.Strategy;
import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.Quad;
import io.crossmesh.transfer.sim.SimNetwork;
import io.crossmesh.transfer.sim.SimProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Hosts that send on what has landed: one number goes from a to c, and c has it whole before it
 * sends it to d. Payloads leave only when their receiver takes them.
 */
@Timeout(60)
class RingTest {
  private static final Mesh SRC = Mesh.ofHosts(List.of(1), List.of("a"));
  private static final Mesh DST = Mesh.ofHosts(List.of(2), List.of("c", "d"));

  @TempDir Path directory;
  private Quad quad;
  private SimProcess a;
  private SimProcess c;
  private SimProcess d;

  @BeforeEach
  void open() throws IOException {
    open(1);
  }

  private void open(long seed) throws IOException {
    SimNetwork.Weather weather = new SimNetwork.Weather(1000, 0, 0, 1000);
    Path own = Files.createDirectory(directory.resolve("seed" + seed));
    quad = new Quad(own, 1 << 16, Cases.options(64, 4), new Random(seed), weather);
    a = open("a", Side.SRC, SRC, 0);
    c = open("c", Side.DST, DST, 0);
    d = open("d", Side.DST, DST, 1);
    quad.cluster()
        .until(() -> a.isOpen() && c.isOpen() && d.isOpen(), Quad.SECOND / 2, "the channel opens");
    assertThat(a.info().plan().moves())
        .extracting(move -> String.join(">", move.route()))
        .containsExactly("a>c", "c>d");
  }

  private SimProcess open(String host, Side side, Mesh mesh, int device) {
    List<TensorSide> tensor = List.of(Cases.tensor("w", List.of(), "int32", mesh, ""));
    ChannelOpen open = Cases.open("x", side, tensor, List.of(device), 1);
    return quad.host(host).open(Quad.with(open, Strategy.GLOBAL_ALL_GATHER));
  }

  @AfterEach
  void memoryReturns() {
    List.of(a, c, d).forEach(process -> process.handle().close());
    quad.over(List.of(a, c, d));
    List.of(a, c, d).forEach(SimProcess::releaseAll);
    quad.cluster().run(Quad.SECOND);
    quad.cluster().hosts().forEach(host -> assertThat(host.arena().used()).isZero());
    quad.close();
  }

  /** c has the step, and d, which has granted it a set, does not take it. */
  private void stopBeforeD() {
    c.recv(0);
    d.recv(0);
    quad.cluster().run(Quad.SECOND / 100);
    quad.cluster().stall(quad.host("d"), true);
    a.send(0);
    quad.cluster().run(Quad.SECOND / 4);
    assertThat(received("c")).isEqualTo(4);
  }

  private long received(String host) {
    return quad.host(host).status().traffic().bulkBytesReceived();
  }

  @Test
  void aStepIsHandedOverWhenWhatItsHostSendsOnHasLeft() {
    stopBeforeD();
    assertThat(c.outcome(0)).isEmpty();
    quad.cluster().stall(quad.host("d"), false);
    quad.cluster().until(() -> c.settled() && d.settled() && a.settled(), Quad.SECOND, "settled");
    assertThat(List.of(a.outcome(0), c.outcome(0), d.outcome(0)))
        .containsExactly("delivered", "received", "received");
  }

  @Test
  void nothingLeavesBeforeThereIsRoomOnTheWholeWay() {
    quad.cluster().stall(quad.host("d"), true);
    c.recv(0);
    a.send(0);
    quad.cluster().run(Quad.SECOND / 4);
    assertThat(received("c")).isZero();
    quad.cluster().stall(quad.host("d"), false);
    d.recv(0);
    quad.cluster().until(() -> c.settled() && d.settled(), Quad.SECOND, "settled");
    assertThat(d.outcome(0)).isEqualTo("received");
  }

  /** For d, which is asleep, what is on its way to it and the word of the end race. */
  @Test
  void whatIsCancelledOnTheWayEndsForAllWhoDoNotHaveItAndTheNextStepArrives() throws IOException {
    int cancelled = 0;
    for (long seed = 2; seed < 20; seed++) {
      memoryReturns();
      open(seed);
      cancelled += cancelOnTheWay() ? 1 : 0;
    }
    assertThat(cancelled).isPositive();
  }

  private boolean cancelOnTheWay() {
    stopBeforeD();
    a.handle().cancel(0, Code.TRANSFER_CANCELLED, "enough");
    quad.cluster().run(Quad.SECOND / 4);
    assertThat(c.failure(0)).isEqualTo(Code.TRANSFER_CANCELLED);
    quad.cluster().stall(quad.host("d"), false);
    quad.cluster().until(d::settled, Quad.SECOND, "settled");
    boolean cancelled = d.failure(0) == Code.TRANSFER_CANCELLED;
    assertThat(cancelled || d.outcome(0).equals("received")).as(d.outcome(0)).isTrue();
    a.send(1);
    c.recv(1);
    d.recv(1);
    quad.cluster().until(() -> c.settled() && d.settled(), Quad.SECOND, "settled");
    assertThat(List.of(c.outcome(1), d.outcome(1))).containsOnly("received");
    return cancelled;
  }
}
