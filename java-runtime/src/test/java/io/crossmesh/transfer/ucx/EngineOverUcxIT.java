package io.crossmesh.transfer.ucx;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.Code;
import io.crossmesh.memory.Arena;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.EngineOptions;
import io.crossmesh.transfer.EngineStatus;
import io.crossmesh.transfer.OpenInfo;
import io.crossmesh.transfer.OwnerThread;
import io.crossmesh.transfer.Participant;
import io.crossmesh.transfer.PeerSpec;
import io.crossmesh.transfer.Side;
import io.crossmesh.transfer.SystemClock;
import io.crossmesh.transfer.TensorSide;
import io.crossmesh.transfer.TransferEngine;
import io.crossmesh.transfer.Transport;
import io.crossmesh.transfer.contract.FlippingTransport;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The whole engine over real UCX: agents of two hosts in one process, each on its own thread. */
@Timeout(60)
class EngineOverUcxIT {
  private static final int SIDE = 1024;
  private static final int STEPS = 20;

  @TempDir Path directory;

  private final class Agent implements AutoCloseable {
    private final String host;
    private final long epoch;
    private final Arena arena;
    private final Transport transport;
    private final TransferEngine engine;
    private final OwnerThread thread;

    Agent(String host, long epoch) {
      this(host, epoch, new UcxTransport(TestCluster.bind("127.0.0.1")));
    }

    Agent(String host, long epoch, Transport transport) {
      this.host = host;
      this.epoch = epoch;
      arena = Arena.create(directory.resolve(host), 64 << 20);
      this.transport = transport;
      engine =
          new TransferEngine(
              host,
              epoch,
              new SystemClock(),
              transport,
              arena,
              EngineOptions.defaults().withChecksums(true));
      thread = new OwnerThread(engine, transport::wakeup, "owner-" + host, 50).start();
    }

    PeerSpec spec() {
      return new PeerSpec(host, epoch, transport.address());
    }

    @Override
    public void close() {
      thread.close();
      arena.close();
    }
  }

  private record Event(String what, long step, long value) {}

  /** Puts what it is told in a queue. */
  private static final class Inbox implements Participant {
    private final BlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private final CompletableFuture<OpenInfo> opened = new CompletableFuture<>();

    OpenInfo info() {
      return opened.join();
    }

    Event next() throws InterruptedException {
      Event event = events.poll(20, TimeUnit.SECONDS);
      assertThat(event).isNotNull();
      return event;
    }

    @Override
    public void onOpen(OpenInfo info) {
      opened.complete(info);
      events.add(new Event("open", 0, 0));
    }

    @Override
    public void onSent(long step, int stagingSet) {
      events.add(new Event("sent", step, stagingSet));
    }

    @Override
    public void onDelivered(long step) {
      events.add(new Event("delivered", step, 0));
    }

    @Override
    public void onReceived(long step, long receipt, long base, boolean mustCopy) {
      events.add(new Event("received " + receipt, step, base));
    }

    @Override
    public void onStepFailed(long step, Code code, String message) {
      events.add(new Event("step failed " + code + " " + message, step, 0));
    }

    @Override
    public void onChannelFailed(Code code, String message) {
      events.add(new Event("failed " + code + " " + message, 0, 0));
    }

    @Override
    public void onClosed() {
      events.add(new Event("closed", 0, 0));
    }
  }

  private static ChannelOpen open(Side side, Mesh mesh, String layout) {
    TensorSpec tensor = new TensorSpec("w", List.of((long) SIDE, (long) SIDE), DType.of("int32"));
    return new ChannelOpen(
        "x",
        side,
        List.of(new TensorSide(tensor, Sharding.parse(mesh, layout))),
        IntStream.range(0, mesh.size()).boxed().toList(),
        2,
        TimeUnit.SECONDS.toNanos(20),
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        "test");
  }

  private static int value(long row, long column, long step) {
    return (int) (row * SIDE + column + step * 7919);
  }

  private static void each(OpenInfo info, long base, MemorySegment memory, long step, boolean set) {
    for (OpenInfo.Tile tile : info.tiles()) {
      long at = base + tile.offset();
      for (long row = tile.box().lo(0); row < tile.box().hi(0); row++) {
        for (long column = tile.box().lo(1); column < tile.box().hi(1); column++) {
          int expected = value(row, column, step);
          if (set) {
            memory.set(ValueLayout.JAVA_INT, at, expected);
          } else if (memory.get(ValueLayout.JAVA_INT, at) != expected) {
            throw new AssertionError("row %d column %d step %d".formatted(row, column, step));
          }
          at += 4;
        }
      }
    }
  }

  @Test
  void reshardsBetweenAgentsStepAfterStep() throws Exception {
    try (Agent a = new Agent("a", 11);
        Agent b = new Agent("b", 22)) {
      assertThat(steps(a, b)).isZero();
    }
  }

  @Test
  void bitsThatFlipOnTheWayAreFoundAndSentAgain() throws Exception {
    Transport flipping =
        new FlippingTransport(new UcxTransport(TestCluster.bind("127.0.0.1")), 0.2, 1);
    try (Agent a = new Agent("a", 11);
        Agent b = new Agent("b", 22, flipping)) {
      assertThat(steps(a, b)).isPositive();
    }
  }

  /** Steps from a to b whose every byte is looked at; answers the chunks that came damaged. */
  private static long steps(Agent a, Agent b) throws Exception {
    Mesh src = Mesh.ofHosts(List.of(2), List.of("a"));
    Mesh dst = Mesh.ofHosts(List.of(2), List.of("b"));
    List<PeerSpec> all = List.of(a.spec(), b.spec());
    a.engine.setPeers(all);
    b.engine.setPeers(all);
    Inbox sender = new Inbox();
    Inbox receiver = new Inbox();
    ChannelHandle tx = a.engine.open(open(Side.SRC, src, "S0 R"), sender);
    ChannelHandle rx = b.engine.open(open(Side.DST, dst, "R S0"), receiver);
    assertThat(sender.next().what()).isEqualTo("open");
    assertThat(receiver.next().what()).isEqualTo("open");
    for (long step = 0; step < STEPS; step++) {
      int set = (int) (step % 2);
      each(sender.info(), sender.info().stagingSets().get(set), a.arena.segment(), step, true);
      rx.recv(step);
      tx.send(step, set);
      Event event = receiver.next();
      assertThat(event.what()).startsWith("received");
      each(receiver.info(), event.value(), b.arena.segment(), step, false);
      rx.release(Long.parseLong(event.what().substring("received ".length())));
      assertThat(List.of(sender.next().what(), sender.next().what()))
          .containsExactlyInAnyOrder("sent", "delivered");
    }
    long damaged = b.engine.status().get(10, TimeUnit.SECONDS).damagedChunks();
    EngineStatus status = a.engine.status().get(10, TimeUnit.SECONDS);
    long planned = sender.info().plan().bytesSent().getOrDefault("a", 0L) * STEPS;
    assertThat(status.channels().getFirst().bulkBytesSent()).isEqualTo(planned);
    if (damaged == 0) {
      assertThat(status.traffic().bulkBytesSent()).isEqualTo(planned);
    } else {
      assertThat(status.traffic().bulkBytesSent()).isGreaterThan(planned);
    }
    tx.close();
    rx.close();
    assertThat(sender.next().what()).isEqualTo("closed");
    assertThat(receiver.next().what()).isEqualTo("closed");
    return damaged;
  }
}
