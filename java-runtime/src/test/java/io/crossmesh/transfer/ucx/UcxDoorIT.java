package io.crossmesh.transfer.ucx;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.transfer.contract.OwnerNode;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.openucx.jucx.UcxCallback;
import org.openucx.jucx.ucp.UcpConstants;
import org.openucx.jucx.ucp.UcpEndpoint;
import org.openucx.jucx.ucp.UcpEndpointParams;

/** Connections that do not know the cluster's secret come to nothing, and are counted. */
@Timeout(60)
final class UcxDoorIT {
  private static final String BIND = "127.0.0.1";
  private static final int MILLIS_MAX = 20_000;

  private final AtomicInteger refused = new AtomicInteger();

  @BeforeAll
  static void ucxIsThere() {
    UcxLibrary.require();
  }

  private OwnerNode node(long name, String token, Runnable count) throws Exception {
    return new OwnerNode(
        name, new UcxTransport(UcxOptions.bind(BIND, ClusterSecret.of(token), count)));
  }

  @Test
  void agentsWithAnotherTokenAreLostWithTheReason() throws Exception {
    try (OwnerNode a = node(1, "one", refused::incrementAndGet);
        OwnerNode b = node(2, "another", () -> {})) {
      b.connect(10, a.transport.address());
      b.send(10, 4, 400, 4, false);
      b.await("the end of the link", MILLIS_MAX, () -> b.lost().containsKey(10));
      assertThat(b.lost().get(10)).contains("cluster's token");
      assertThat(a.heard(2).messages()).isZero();
      assertThat(a.errors()).isEmpty();
    }
  }

  @Test
  void messagesWithoutAProofAreNotLookedAt() throws Exception {
    try (OwnerNode a = node(1, "one", refused::incrementAndGet);
        OwnerNode friend = node(3, "one", () -> {})) {
      try (Stranger stranger = new Stranger(a.transport.address())) {
        stranger.say(Receiver.MESSAGE, 7);
        stranger.say(Receiver.GOODBYE, 7);
        stranger.say(Receiver.ANSWER, 7);
        stranger.say(Receiver.HELLO, 7);
        stranger.say(Receiver.PROOF, 7);
        stranger.turnUntil(() -> refused.get() >= 5);
      }
      assertThat(refused).hasValue(5);
      assertThat(a.heard(7).messages()).isZero();
      friend.connect(10, a.transport.address());
      friend.send(10, 4, 400, 4, false);
      a.await("a friend's messages", MILLIS_MAX, () -> a.heard(3).messages() == 4);
      assertThat(refused).hasValue(5);
      assertThat(a.errors()).isEmpty();
    }
  }

  @Test
  void whoWasLetInSpeaksInItsOwnNameOnly() throws Exception {
    try (OwnerNode a = node(1, "one", refused::incrementAndGet);
        OwnerNode b = node(2, "one", () -> {})) {
      b.connect(10, a.transport.address());
      b.send(10, 1, 400, 1, false);
      a.await("b's message", MILLIS_MAX, () -> a.heard(2).messages() == 1);
      b.forge(10, 7);
      a.await("a refusal", MILLIS_MAX, () -> refused.get() == 1);
      b.send(10, 1, 400, 1, false);
      a.await("b's next message", MILLIS_MAX, () -> a.heard(2).messages() == 2);
      assertThat(a.heard(7).messages()).isZero();
      assertThat(a.errors()).isEmpty();
    }
  }

  /** Speaks UCX, and not the protocol. */
  private static final class Stranger implements AutoCloseable {
    private final UcxWorker ucx = UcxWorker.open(null);
    private final UcpEndpoint endpoint;

    Stranger(String address) {
      endpoint =
          ucx.worker()
              .newEndpoint(
                  new UcpEndpointParams()
                      .setPeerErrorHandlingMode()
                      .setSocketAddress(Acceptor.parse(address)));
    }

    void say(int message, long link) {
      MemorySegment framed = ucx.memory.allocate(Frame.BYTES, 8);
      Frame.write(framed, Door.blank(), link, 0);
      endpoint.sendAmNonBlocking(
          message,
          framed.address(),
          framed.byteSize(),
          ucx.empty.address(),
          ucx.empty.byteSize(),
          UcpConstants.UCP_AM_SEND_FLAG_RNDV,
          new UcxCallback(),
          ucx.hostMemory);
    }

    void turnUntil(BooleanSupplier condition) {
      long limit = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(MILLIS_MAX);
      while (!condition.getAsBoolean() && System.nanoTime() < limit) {
        ucx.progress();
      }
    }

    @Override
    public void close() {
      ucx.closeForcing(endpoint);
      long limit = System.nanoTime() + 2_000_000_000L;
      while (!ucx.quiet() && System.nanoTime() < limit) {
        ucx.progress();
      }
      ucx.close();
    }
  }
}
