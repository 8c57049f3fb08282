package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.Quad;
import io.crossmesh.transfer.sim.SimNetwork;
import io.crossmesh.transfer.sim.SimProcess;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class TransferEngineTest {
  @TempDir Path directory;
  private Quad quad;

  @BeforeEach
  void start() {
    quad = new Quad(directory, 1 << 20);
  }

  @AfterEach
  void stop() {
    quad.close();
  }

  private void closeAndCheckMemory(List<SimProcess> processes) {
    processes.forEach(process -> process.handle().close());
    quad.over(processes);
    processes.forEach(SimProcess::releaseAll);
    quad.cluster().run(Quad.SECOND);
    quad.cluster().hosts().forEach(host -> assertThat(host.arena().used()).isZero());
  }

  @Test
  void carriesStepsFromOneLayoutToAnother() {
    Quad.Parties x = quad.open("x", 2);
    for (long step = 0; step < 5; step++) {
      quad.step(x, step);
      for (SimProcess sender : x.senders()) {
        assertThat(sender.outcome(step)).isEqualTo("delivered");
      }
      for (SimProcess receiver : x.receivers()) {
        assertThat(receiver.outcome(step)).isEqualTo("received");
      }
    }
    closeAndCheckMemory(x.all());
  }

  @Test
  void replacesSetsThatAreKeptByCopyingWhenTheArenaIsFull() {
    Quad.Parties x = quad.open("x", 2);
    x.receivers().forEach(receiver -> receiver.keep(1000));
    // The rest of the arena is taken, so that there are no spares.
    quad.cluster()
        .hosts()
        .forEach(
            host -> {
              long rest = host.arena().budget() - host.arena().used();
              for (long bytes = 4096; bytes >= 64; bytes /= 2) {
                for (; rest >= bytes; rest -= bytes) {
                  try {
                    host.arena().allocate(bytes, "somebody else");
                  } catch (CrossmeshException full) {
                    break;
                  }
                }
              }
            });
    for (long step = 0; step < 20; step++) {
      quad.step(x, step);
      assertThat(x.c().outcome(step)).isEqualTo("received");
    }
    assertThat(x.c().copies()).isEqualTo(19);
  }

  /** Tasks of hosts that wait until they are run. */
  private final ArrayDeque<Runnable> beside = new ArrayDeque<>();

  private Quad.Parties openReservingBeside(long arenaBytes) throws IOException {
    quad.close();
    EngineOptions options = Cases.options(64, 2).withReserving(beside::add, 0);
    quad =
        new Quad(
            Files.createDirectory(directory.resolve("beside")),
            arenaBytes,
            options,
            options,
            new Random(1),
            SimNetwork.Weather.FAIR);
    Quad.Parties x = quad.start("x", 1);
    quad.cluster().run(Quad.SECOND / 100);
    return x;
  }

  private void runBeside() {
    quad.cluster().run(Quad.SECOND / 100);
    while (!beside.isEmpty()) {
      beside.remove().run();
      quad.cluster().run(Quad.SECOND / 100);
    }
  }

  @Test
  void opensWhenMemoryIsReserved() throws IOException {
    Quad.Parties x = openReservingBeside(1 << 20);
    assertThat(beside).hasSize(4);
    assertThat(quad.cluster().host("a").arena().used()).isZero();
    runBeside();
    quad.step(x, 0);
    assertThat(x.c().outcome(0)).isEqualTo("received");
    closeAndCheckMemory(x.all());
  }

  @Test
  void memoryThatWasReservedForAChannelThatFailedComesBack() throws IOException {
    Quad.Parties x = openReservingBeside(1 << 20);
    x.a().handle().abort("enough");
    quad.cluster().run(Quad.SECOND / 100);
    runBeside();
    assertThat(x.c().channelCode()).contains(Code.TRANSFER_CANCELLED);
    quad.cluster().hosts().forEach(host -> assertThat(host.arena().used()).isZero());
  }

  @Test
  void theHandOverWaitsForASetThatIsReservedBeside() throws IOException {
    Quad.Parties x = openReservingBeside(1 << 20);
    runBeside();
    x.receivers().forEach(receiver -> receiver.keep(1000));
    x.receivers().forEach(receiver -> receiver.recv(0));
    x.senders().forEach(sender -> sender.send(0));
    for (long step = 0; step < 50; step++) {
      runBeside();
      assertThat(x.c().outcome(step)).as("step %d", step).isEqualTo("received");
      long next = step + 1;
      x.receivers().forEach(receiver -> receiver.recv(next));
      x.senders().forEach(sender -> sender.send(next));
    }
    runBeside();
    assertThat(x.c().copies()).isZero();
    closeAndCheckMemory(x.all());
  }

  @Test
  void keepsSetsInPlaceOfCopyingWhileTheArenaHasRoom() {
    Quad.Parties x = quad.open("x", 1);
    x.receivers().forEach(receiver -> receiver.keep(1000));
    for (long step = 0; step < 50; step++) {
      quad.step(x, step);
    }
    assertThat(x.c().copies()).isZero();
    closeAndCheckMemory(x.all());
  }

  @Test
  void holdsSendersBackWhileNobodyReceives() {
    Quad.Parties x = quad.open("x", 2);
    x.senders().forEach(sender -> sender.send(0));
    x.senders().forEach(sender -> sender.send(1));
    quad.cluster().run(Quad.SECOND / 4);
    assertThat(x.a().outcome(1)).isEqualTo("delivered");
    x.senders().forEach(sender -> sender.send(2));
    quad.cluster().run(Quad.SECOND / 4);
    assertThat(x.a().outcome(2)).isEmpty();
    x.receivers().forEach(receiver -> receiver.recv(0));
    quad.cluster().run(Quad.SECOND / 4);
    assertThat(x.a().outcome(2)).isEqualTo("delivered");
  }

  @Test
  void keepsWhatHasLandedReceivableAfterTheSourceClosedAndLeft() {
    Quad.Parties x = quad.open("x", 2);
    x.senders().forEach(sender -> sender.send(0));
    x.senders().forEach(sender -> sender.handle().close());
    quad.over(x.senders());
    assertThat(x.a().outcome(0)).isEqualTo("delivered");
    quad.host("a").die();
    quad.cluster().run(Quad.SECOND / 4);
    x.receivers().forEach(receiver -> receiver.recv(0));
    quad.settle(x);
    assertThat(x.c().outcome(0)).isEqualTo("received");
    assertThat(x.d().outcome(0)).isEqualTo("received");
  }

  @Test
  void bindsTheNthOpeningsOfANameToEachOther() {
    Quad.Parties first = quad.start("x", 1);
    Quad.Parties second = quad.start("x", 1);
    quad.cluster()
        .until(() -> second.all().stream().allMatch(SimProcess::isOpen), Quad.SECOND, "both open");
    assertThat(first.c().info().channelId()).isEqualTo(first.a().info().channelId());
    assertThat(second.c().info().channelId()).isEqualTo(second.b().info().channelId());
    assertThat(second.c().info().channelId()).isNotEqualTo(first.c().info().channelId());
  }

  @Test
  void takesCallsBeforeTheChannelIsOpen() {
    Quad.Parties x = quad.start("x", 1);
    x.receivers().forEach(receiver -> receiver.recv(0));
    quad.cluster().until(() -> x.all().stream().allMatch(SimProcess::isOpen), Quad.SECOND, "open");
    x.senders().forEach(sender -> sender.send(0));
    quad.settle(x);
    assertThat(x.c().outcome(0)).isEqualTo("received");
  }

  @Test
  void refusesAtOnceWhatIsWrongByItself() {
    ChannelOpen good = Quad.request("x", "a", "S0 S1", 1);
    assertThatThrownBy(() -> quad.host("b").engine().open(good, new NoParticipant()))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("is on host 'a', not on 'b'");
  }

  @Test
  void tellsItsState() {
    Quad.Parties x = quad.open("x", 1);
    quad.host("a").open(Quad.request("y", "a", "S0 S1", 1));
    quad.step(x, 0);
    quad.cluster().run(Quad.SECOND / 8);
    EngineStatus status = quad.host("a").status();
    assertThat(status.channels())
        .extracting(channel -> channel.name() + " " + channel.state())
        .containsExactlyInAnyOrder("x open", "y claimed");
    assertThat(status.peers()).hasSize(3).allMatch(EngineStatus.Peer::connected);
    EngineStatus.Channel open =
        status.channels().stream().filter(c -> c.name().equals("x")).findFirst().orElseThrow();
    assertThat(open.bulkBytesSent()).isEqualTo(x.a().info().plan().bytesSent().get("a"));
    assertThat(status.traffic().bulkBytesSent()).isEqualTo(open.bulkBytesSent());
  }
}
