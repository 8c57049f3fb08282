import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import org.openucx.jucx.UcxCallback;
import org.openucx.jucx.ucp.UcpAmRecvCallback;
import org.openucx.jucx.ucp.UcpConstants;
import org.openucx.jucx.ucp.UcpContext;
import org.openucx.jucx.ucp.UcpEndpoint;
import org.openucx.jucx.ucp.UcpEndpointErrorHandler;
import org.openucx.jucx.ucp.UcpEndpointParams;
import org.openucx.jucx.ucp.UcpListener;
import org.openucx.jucx.ucp.UcpListenerConnectionHandler;
import org.openucx.jucx.ucp.UcpListenerParams;
import org.openucx.jucx.ucp.UcpParams;
import org.openucx.jucx.ucp.UcpRequestParams;
import org.openucx.jucx.ucp.UcpWorker;
import org.openucx.jucx.ucp.UcpWorkerParams;
import org.openucx.jucx.ucs.UcsConstants;

/**
 * One of two processes that send an active message back and forth by JUCX and nothing else, neither
 * ever sleeping: what is left of a step between agents without the engine. A message has a header
 * as long as the engine's and is copied once where it arrives. Started by latency.py.
 *
 * <p>Arguments: name (a or b), connections (2: each end sends by one that it has opened, as agents
 * do; 1: b answers by the one of a), bytes of a message, rounds that count. It writes the port where
 * it listens, reads the other's, and writes "ready"; a begins when it reads "go" and writes the
 * percentiles of half a round in microseconds.
 */
public final class Bare {
  private static final int WARM_UP_ROUNDS = 50_000;
  private static final int HEADER_BYTES = 80;
  private static final long LIMIT_SECONDS = 60;

  private final long bytes;
  private final UcpWorker worker;
  private final UcpRequestParams host =
      new UcpRequestParams().setMemoryType(UcsConstants.MEMORY_TYPE.UCS_MEMORY_TYPE_HOST);
  private final MemorySegment header = Arena.global().allocate(HEADER_BYTES, 64);
  private final MemorySegment payload;
  private final MemorySegment landing;
  private final UcxCallback sent = new Sent();
  private long received;
  private UcpEndpoint incoming;
  private boolean ended;

  // JUCX holds what it calls weakly, so they are fields.
  private final UcpAmRecvCallback onMessage =
      (headerAt, headerBytes, data, replyTo) -> {
        MemorySegment here = MemorySegment.ofAddress(data.getDataAddress());
        landing().copyFrom(here.reinterpret(data.getLength()));
        received++;
        return UcsConstants.STATUS.UCS_OK;
      };
  private final UcpEndpointErrorHandler onError = (endpoint, status, message) -> ended = true;
  private final UcpListenerConnectionHandler onConnection;
  private final UcpListener listener;

  private Bare(long bytes) {
    this.bytes = bytes;
    this.payload = Arena.global().allocate(bytes, 64);
    this.landing = Arena.global().allocate(bytes, 64);
    // The same features as the agents', which sleep.
    UcpContext context =
        new UcpContext(new UcpParams().requestAmFeature().requestWakeupFeature());
    worker = context.newWorker(new UcpWorkerParams());
    worker.setAmRecvHandler(0, onMessage, UcpConstants.UCP_AM_FLAG_WHOLE_MSG);
    onConnection =
        request -> incoming = worker.newEndpoint(endpoint().setConnectionRequest(request));
    listener =
        worker.newListener(
            new UcpListenerParams()
                .setSockAddr(new InetSocketAddress("127.0.0.1", 0))
                .setConnectionHandler(onConnection));
  }

  public static void main(String[] arguments) throws IOException {
    var input = new BufferedReader(new InputStreamReader(System.in));
    boolean first = arguments[0].equals("a");
    boolean both = arguments[1].equals("2");
    Bare bare = new Bare(Long.parseLong(arguments[2]));
    int rounds = Integer.parseInt(arguments[3]);
    System.out.println(bare.listener.getAddress().getPort());
    int port = Integer.parseInt(input.readLine());
    UcpEndpoint opened = first || both ? bare.connect(port) : null;
    System.out.println("ready");
    if (first) {
      String ignored = input.readLine();
      System.out.println(bare.rounds(opened, rounds));
    } else {
      bare.until(() -> bare.received > 0);
      bare.echo(both ? opened : bare.incoming, WARM_UP_ROUNDS + (long) rounds);
    }
    System.exit(0); // nothing is left that another would miss
  }

  private MemorySegment landing() {
    return landing;
  }

  private UcpEndpointParams endpoint() {
    return new UcpEndpointParams().setPeerErrorHandlingMode().setErrorHandler(onError);
  }

  private UcpEndpoint connect(int port) {
    return worker.newEndpoint(
        endpoint().setSocketAddress(new InetSocketAddress("127.0.0.1", port)));
  }

  private String rounds(UcpEndpoint out, int rounds) {
    long[] halves = new long[rounds];
    for (int round = -WARM_UP_ROUNDS; round < rounds; round++) {
      long start = System.nanoTime();
      long due = received + 1;
      send(out);
      until(() -> received == due);
      if (round >= 0) {
        halves[round] = (System.nanoTime() - start) / 2;
      }
    }
    Arrays.sort(halves);
    return "%.2f %.2f".formatted(halves[rounds / 2] / 1e3, halves[rounds * 99 / 100] / 1e3);
  }

  private void echo(UcpEndpoint out, long rounds) {
    for (long round = 1; round <= rounds; round++) {
      long due = round;
      until(() -> received == due);
      send(out);
    }
    // The other end leaves as soon as it has the last.
    long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(1);
    while (!ended && System.nanoTime() < limit) {
      turn();
    }
  }

  private void send(UcpEndpoint out) {
    out.sendAmNonBlocking(
        0,
        header.address(),
        HEADER_BYTES,
        payload.address(),
        bytes,
        UcpConstants.UCP_AM_SEND_FLAG_EAGER,
        sent,
        host);
  }

  private interface Condition {
    boolean holds();
  }

  private void until(Condition condition) {
    long start = System.nanoTime();
    while (!condition.holds()) {
      if (turn() == 0 && System.nanoTime() - start > TimeUnit.SECONDS.toNanos(LIMIT_SECONDS)) {
        throw new IllegalStateException("nothing came for " + LIMIT_SECONDS + " s");
      }
      if (ended) {
        throw new IllegalStateException("the other process has ended");
      }
    }
  }

  private int turn() {
    try {
      return worker.progress();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  private static final class Sent extends UcxCallback {
    @Override
    public void onError(int status, String message) {
      System.err.println("a message was not sent: " + message);
    }
  }
}
