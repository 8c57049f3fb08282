import io.crossmesh.Code;
import io.crossmesh.memory.Arena;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.EngineOptions;
import io.crossmesh.transfer.OpenInfo;
import io.crossmesh.transfer.Participant;
import io.crossmesh.transfer.PeerSpec;
import io.crossmesh.transfer.Side;
import io.crossmesh.transfer.SystemClock;
import io.crossmesh.transfer.TensorSide;
import io.crossmesh.transfer.TransferEngine;
import io.crossmesh.transfer.ucx.ClusterSecret;
import io.crossmesh.transfer.ucx.UcxOptions;
import io.crossmesh.transfer.ucx.UcxTransport;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * One of two engines that send a step back and forth, each on one thread that never sleeps: what a
 * step costs between agents without clients and without waking anybody. Started by latency.py.
 *
 * <p>Steps are asked for ahead, as pipelines do.
 *
 * <p>Arguments: name (a or b), folder of the arenas, bytes of a step, rounds that count. It writes its
 * epoch and address in one line, reads the other's, and writes "ready" once both channels are open;
 * a begins when it reads "go". In the end a writes the percentiles of half a round in microseconds.
 */
public final class Ping {
  private static final int DEPTH = 4;
  private static final int WARM_UP_ROUNDS = 300_000;
  private static final long LIMIT_SECONDS = 60;

  private final boolean first;
  private final long bytes;
  private final TransferEngine engine;
  private final End out;
  private final End in;
  private boolean ending;

  private Ping(String name, Path file, long bytes, BufferedReader input) throws IOException {
    this.first = name.equals("a");
    this.bytes = bytes;
    long epoch = ThreadLocalRandom.current().nextLong();
    UcxTransport transport =
        new UcxTransport(UcxOptions.bind("127.0.0.1", ClusterSecret.of("benchmark"), () -> {}));
    Arena arena = Arena.create(file, (64 << 20) + 8 * DEPTH * bytes);
    engine =
        new TransferEngine(
            name, epoch, new SystemClock(), transport, arena, EngineOptions.defaults());
    engine.start();
    System.out.println(epoch + " " + transport.address());
    String[] words = input.readLine().split(" ");
    String other = first ? "b" : "a";
    engine.setPeers(
        List.of(
            new PeerSpec(name, epoch, transport.address()),
            new PeerSpec(other, Long.parseLong(words[0]), words[1])));
    out = new End(name + other, Side.SRC, name);
    in = new End(other + name, Side.DST, name);
  }

  public static void main(String[] arguments) throws IOException {
    var input = new BufferedReader(new InputStreamReader(System.in));
    long bytes = Long.parseLong(arguments[2]);
    int rounds = Integer.parseInt(arguments[3]);
    Ping ping = new Ping(arguments[0], Path.of(arguments[1], arguments[0]), bytes, input);
    ping.until(() -> ping.out.open && ping.in.open);
    System.out.println("ready");
    if (ping.first) {
      String ignored = input.readLine();
      System.out.println(ping.rounds(rounds));
    } else {
      ping.echo(rounds);
    }
    ping.ending = true;
    ping.engine.close();
    System.exit(0); // UCX's own threads, if any, keep nobody
  }

  private String rounds(int rounds) {
    long[] halves = new long[rounds];
    int all = WARM_UP_ROUNDS + rounds;
    in.ask(0, all);
    for (int round = 0; round < all; round++) {
      long start = System.nanoTime();
      out.send(round);
      in.ask(round + 1, all);
      in.take(round);
      if (round >= WARM_UP_ROUNDS) {
        halves[round - WARM_UP_ROUNDS] = (System.nanoTime() - start) / 2;
      }
    }
    java.util.Arrays.sort(halves);
    return "%.2f %.2f".formatted(halves[rounds / 2] / 1e3, halves[rounds * 99 / 100] / 1e3);
  }

  private void echo(int rounds) {
    int all = WARM_UP_ROUNDS + rounds;
    in.ask(0, all);
    in.ask(1, all);
    for (int round = 0; round < all; round++) {
      in.take(round);
      out.send(round);
      in.ask(round + 2, all);
    }
    // The other end leaves as soon as it has the last step.
    ending = true;
    until(() -> out.delivered == all || out.over);
  }

  private interface Condition {
    boolean holds();
  }

  private void until(Condition condition) {
    long start = System.nanoTime();
    while (!condition.holds()) {
      if (engine.doWork() == 0
          && System.nanoTime() - start > TimeUnit.SECONDS.toNanos(LIMIT_SECONDS)) {
        throw new IllegalStateException("nothing came for " + LIMIT_SECONDS + " s");
      }
    }
  }

  /** An end of a channel of one tensor on one host. */
  private final class End implements Participant {
    private final ChannelHandle handle;
    private boolean open;
    private long free = DEPTH;
    private long received = -1;
    private long receipt;
    private long delivered;
    private boolean over;

    End(String channel, Side side, String host) {
      String holder = channel.substring(side == Side.SRC ? 0 : 1, side == Side.SRC ? 1 : 2);
      Mesh mesh = Mesh.ofHosts(List.of(1), List.of(holder));
      TensorSpec tensor = new TensorSpec("", List.of(bytes), DType.of("uint8"));
      handle =
          engine.open(
              new ChannelOpen(
                  channel,
                  side,
                  List.of(new TensorSide(tensor, Sharding.parse(mesh, "R"))),
                  List.of(0),
                  DEPTH,
                  TimeUnit.SECONDS.toNanos(LIMIT_SECONDS),
                  Optional.empty(),
                  Optional.empty(),
                  Optional.empty(),
                  "benchmark"),
              this);
    }

    void send(long step) {
      until(() -> free > 0);
      free--;
      handle.send(step, (int) (step % DEPTH));
    }

    void ask(long step, long all) {
      if (step < all) {
        handle.recv(step);
      }
    }

    void take(long step) {
      until(() -> received >= step);
      handle.release(receipt);
    }

    @Override
    public void onOpen(OpenInfo info) {
      open = true;
    }

    @Override
    public void onSent(long step, int stagingSet) {
      free++;
    }

    @Override
    public void onDelivered(long step) {
      delivered++;
    }

    @Override
    public void onReceived(long step, long number, long base, boolean mustCopy) {
      received = step;
      receipt = number;
    }

    @Override
    public void onStepFailed(long step, Code code, String message) {
      throw new IllegalStateException(message);
    }

    @Override
    public void onChannelFailed(Code code, String message) {
      over = true;
      if (!ending) {
        throw new IllegalStateException(message);
      }
    }

    @Override
    public void onClosed() {}
  }
}
