package io.crossmesh.transfer.contract;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport;
import io.crossmesh.transfer.Transport.Handler;
import io.crossmesh.transfer.Transport.Landing;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What every {@link Transport} keeps to: two of a kind in one JVM, each on its own thread. A kind
 * is tested by a subclass that says how to make one.
 */
@Timeout(120)
public abstract class TransportContract {
  private static final long MIB = 1 << 20;
  private static final long[] SIZES = {
    0, 1, 7, 64, 4095, 4096, 4097, 8191, 8192, 65_536, 100_003, MIB + 3, 4 * MIB, 64 * MIB
  };

  /** A transport on 127.0.0.1 on which nothing was called yet. */
  protected abstract Transport make() throws Exception;

  /** The largest message that is tried. */
  protected long bytesMax() {
    return 64 * MIB;
  }

  private OwnerNode node(long name) throws Exception {
    return new OwnerNode(name, make());
  }

  @Test
  void messagesOfEverySizeArriveWholeInBothDirections() throws Exception {
    try (OwnerNode a = node(1);
        OwnerNode b = node(2)) {
      a.connect(20, b.transport.address());
      b.connect(10, a.transport.address());
      long bytes = 0;
      for (long size : LongStream.of(SIZES).filter(size -> size <= bytesMax()).toArray()) {
        int count = size > MIB ? 6 : 40;
        Flood there = a.send(20, count, size, 4, false);
        Flood back = b.send(10, count, size, 4, false);
        assertThat(there.result.get(60, TimeUnit.SECONDS)).isZero();
        assertThat(back.result.get(60, TimeUnit.SECONDS)).isZero();
        bytes += count * size;
      }
      long total = bytes;
      b.await("all messages of a", 20_000, () -> b.heard(1).bytes() == total);
      a.await("all messages of b", 20_000, () -> a.heard(2).bytes() == total);
      assertThat(a.errors()).isEmpty();
      assertThat(b.errors()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {11, 12, 13})
  void manyMessagesOfRandomSizesKeepTheirOrderAndContent(long seed) throws Exception {
    Random random = new Random(seed);
    try (OwnerNode a = node(1);
        OwnerNode b = node(2)) {
      a.connect(20, b.transport.address());
      b.connect(10, a.transport.address());
      List<Flood> floods = new ArrayList<>();
      allArrive(a, b, floods, flood(a, b, 60, random, floods), seed);
    }
  }

  /** Sends as much from a, to its peer 20, as from b, to its 10; how many messages each. */
  private static long flood(
      OwnerNode a, OwnerNode b, int times, Random random, List<Flood> floods) {
    long messages = 0;
    for (int i = 0; i < times; i++) {
      long size = random.nextInt(3) == 0 ? random.nextInt(300_000) : random.nextInt(9000);
      int count = 1 + random.nextInt(100);
      floods.add(a.send(20, count, size, 1 + random.nextInt(16), false));
      floods.add(b.send(10, count, size, 1 + random.nextInt(16), false));
      messages += count;
    }
    return messages;
  }

  private static void allArrive(
      OwnerNode a, OwnerNode b, List<Flood> floods, long messages, long seed) throws Exception {
    for (Flood flood : floods) {
      assertThat(flood.result.get(60, TimeUnit.SECONDS)).as("seed %d", seed).isZero();
    }
    b.await("all messages of a", 20_000, () -> b.heard(1).messages() == messages);
    a.await("all messages of b", 20_000, () -> a.heard(2).messages() == messages);
    assertThat(a.errors()).as("seed %d", seed).isEmpty();
    assertThat(b.errors()).as("seed %d", seed).isEmpty();
  }

  @Test
  void theCountersOfBothSidesAreExact() throws Exception {
    try (OwnerNode a = node(1);
        OwnerNode b = node(2)) {
      a.connect(20, b.transport.address());
      assertThat(a.send(20, 100, 1000, 8, false).result.get(20, TimeUnit.SECONDS)).isZero();
      assertThat(a.send(20, 10, MIB, 8, false).result.get(20, TimeUnit.SECONDS)).isZero();
      b.await("all messages", 20_000, () -> b.heard(1).messages() == 110);
      Counters.Traffic sent = a.traffic();
      Counters.Traffic received = b.traffic();
      assertThat(sent.bulkMessagesSent()).isEqualTo(received.bulkMessagesReceived()).isEqualTo(110);
      assertThat(sent.bulkBytesSent())
          .isEqualTo(received.bulkBytesReceived())
          .isEqualTo(100 * 1000 + 10 * MIB);
      assertThat(sent.controlMessagesSent()).isZero();
      assertThat(received.bulkBytesSent()).isZero();
      assertThat(a.call(() -> a.transport.counters().peers()).get(20)).isEqualTo(sent);
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {100, 1 << 20})
  void whatIsDiscardedIsTakenFromTheSenderAndCountedNowhere(long bytes) throws Exception {
    try (OwnerNode a = node(1);
        OwnerNode b = node(2)) {
      a.connect(20, b.transport.address());
      assertThat(a.send(20, 50, bytes, 8, true).result.get(20, TimeUnit.SECONDS)).isZero();
      assertThat(a.send(20, 50, bytes, 8, false).result.get(20, TimeUnit.SECONDS)).isZero();
      b.await("all messages", 20_000, () -> b.heard(1).messages() == 100);
      assertThat(b.traffic().bulkBytesReceived()).isEqualTo(50 * bytes);
      assertThat(b.errors()).isEmpty();
    }
  }

  @Test
  void whatHasNoMemoryYetWaitsAtItsSender() throws Exception {
    try (OwnerNode a = node(1);
        OwnerNode b = node(2)) {
      a.connect(20, b.transport.address());
      b.hold();
      Flood flood = a.send(20, 20, MIB, 4, false);
      b.await("a window of announcements", 20_000, () -> b.held() == 4);
      assertThat(flood.result).isNotDone();
      assertThat(b.heard(1).messages()).isZero();
      b.fetchHeld();
      assertThat(flood.result.get(20, TimeUnit.SECONDS)).isZero();
      b.await("all messages", 20_000, () -> b.heard(1).messages() == 20);
      b.hold();
      Flood never = a.send(20, 2, MIB, 4, false);
      b.await("the announcements", 20_000, () -> b.held() == 2);
      a.disconnect(20);
      assertThat(never.result.get(20, TimeUnit.SECONDS)).isNotNull();
      assertThat(a.errors()).isEmpty();
      assertThat(b.errors()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {0, 100, 1 << 20})
  void aPeerThatClosesAfterItsLastSendLosesNothing(long bytes) throws Exception {
    try (OwnerNode b = node(2)) {
      for (int round = 1; round <= 10; round++) {
        int sender = round;
        OwnerNode a = node(sender);
        a.connect(20, b.transport.address());
        b.connect(100 + sender, a.transport.address());
        Flood flood = a.send(20, 100, bytes, 100, false);
        a.close();
        assertThat(flood.result.get(20, TimeUnit.SECONDS)).isZero();
        b.await("every message", 20_000, () -> b.heard(sender).messages() == 100);
        b.await("the end of a", 5_000, () -> b.lost().containsKey(100 + sender));
        b.disconnect(100 + sender);
      }
      assertThat(b.errors()).isEmpty();
      assertThat(b.lost()).hasSize(10);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void bothSidesCloseAtOnceWithoutErrors(boolean answers) throws Exception {
    for (int round = 0; round < 5; round++) {
      OwnerNode a = node(1);
      OwnerNode b = node(2);
      a.connect(20, b.transport.address());
      b.connect(10, a.transport.address());
      if (answers) {
        answer(a, b);
      }
      Flood there = a.send(20, 20, MIB, 4, false);
      Flood back = b.send(10, 20, MIB, 4, false);
      there.result.get(20, TimeUnit.SECONDS);
      back.result.get(20, TimeUnit.SECONDS);
      CompletableFuture<Void> closing = CompletableFuture.runAsync(a::close);
      b.close();
      closing.get(20, TimeUnit.SECONDS);
      assertThat(a.errors()).isEmpty();
      assertThat(b.errors()).isEmpty();
      a.close();
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {21, 22, 23})
  void answersByThePeersConnectionKeepTheirOrderAndContent(long seed) throws Exception {
    Random random = new Random(seed);
    try (OwnerNode a = node(1);
        OwnerNode b = node(2)) {
      a.connect(20, b.transport.address());
      b.connect(10, a.transport.address());
      List<Flood> floods = new ArrayList<>();
      long before = flood(a, b, 10, random, floods);
      b.await("a message of a", 20_000, () -> b.heard(1).messages() > 0);
      // Some of what b has sent is still on its own connection.
      b.answerBy(10, 1);
      allArrive(a, b, floods, before + flood(a, b, 30, random, floods), seed);
    }
  }

  /** Has b, which a sends to as 20, send to a, its 10, by a's connection. */
  protected static void answer(OwnerNode a, OwnerNode b) throws Exception {
    assertThat(a.send(20, 1, 8, 1, false).result.get(20, TimeUnit.SECONDS)).isZero();
    b.await("a message of a", 20_000, () -> b.heard(1).messages() == 1);
    b.answerBy(10, 1);
  }

  @Test
  void aPeerGivenUpGetsEverythingSentBeforeAndCanBeMetAgain() throws Exception {
    try (OwnerNode a = node(1);
        OwnerNode b = node(2)) {
      for (int round = 0; round < 5; round++) {
        a.connect(20 + round, b.transport.address());
        Flood flood = a.send(20 + round, 20, 100_000, 20, false);
        a.disconnect(20 + round);
        assertThat(flood.result.get(20, TimeUnit.SECONDS)).isZero();
        int messages = 20 * (round + 1);
        b.await("every message", 20_000, () -> b.heard(1).messages() == messages);
      }
      assertThat(a.send(20, 1, 8, 1, false).result.get(20, TimeUnit.SECONDS)).isEqualTo(1);
      assertThat(a.lost()).isEmpty();
      assertThat(b.errors()).isEmpty();
    }
  }

  @Test
  void whatIsOnItsWayToAPeerThatIsAbandonedFailsAtOnce() throws Exception {
    try (OwnerNode a = node(1);
        OwnerNode b = node(2)) {
      a.connect(20, b.transport.address());
      b.hold();
      Flood flood = a.send(20, 4, MIB, 2, false);
      b.await("the announcements", 20_000, () -> b.held() == 2);
      long start = System.nanoTime();
      a.abandon(20);
      assertThat(flood.result.get(20, TimeUnit.SECONDS)).isPositive();
      assertThat(System.nanoTime() - start).isLessThan(1_500_000_000L);
      b.await("the end of what was announced", 20_000, () -> b.heard(1).failed() == 2);
      a.connect(21, b.transport.address());
      b.fetchHeld();
      assertThat(a.send(21, 3, MIB, 1, false).result.get(20, TimeUnit.SECONDS)).isZero();
      assertThat(a.lost()).isEmpty();
      assertThat(a.errors()).isEmpty();
      assertThat(b.errors()).isEmpty();
    }
  }

  @Test
  void aConnectionThatIsSeveredEndsWhatIsLandingAndBringsNothingMore() throws Exception {
    try (OwnerNode a = node(1);
        OwnerNode b = node(2)) {
      a.connect(20, b.transport.address());
      b.hold();
      Flood flood = a.send(20, 4, MIB, 2, false);
      b.await("the announcements", 20_000, () -> b.held() == 2);
      b.sever(1);
      b.await("the end of what was announced", 20_000, () -> b.heard(1).failed() == 2);
      b.sever(1);
      assertThat(flood.result.get(20, TimeUnit.SECONDS)).isPositive();
      a.await("the loss", 5_000, () -> a.lost().containsKey(20));
      assertThat(b.heard(1).messages()).isZero();
      a.connect(21, b.transport.address());
      b.fetchHeld();
      assertThat(a.send(21, 3, MIB, 1, false).result.get(20, TimeUnit.SECONDS)).isZero();
      b.await("all messages", 20_000, () -> b.heard(1).messages() == 3);
      assertThat(a.errors()).isEmpty();
      assertThat(b.errors()).isEmpty();
    }
  }

  @Test
  void aPeerThatDoesNotExistIsLostAndSendsToItFail() throws Exception {
    String nobody;
    try (OwnerNode gone = node(3)) {
      nobody = gone.transport.address();
    }
    try (OwnerNode a = node(1)) {
      a.connect(30, nobody);
      Flood flood = a.send(30, 3, MIB, 3, false);
      assertThat(flood.result.get(20, TimeUnit.SECONDS)).isEqualTo(3);
      a.await("the loss", 5_000, () -> a.lost().containsKey(30));
      a.connect(31, "no address");
      a.await("the loss", 5_000, () -> a.lost().containsKey(31));
      assertThat(a.lost().get(31)).contains("no address");
      assertThat(a.send(31, 1, 8, 1, false).result.get(20, TimeUnit.SECONDS)).isEqualTo(1);
      assertThat(a.errors()).isEmpty();
    }
  }

  @Test
  void aWakeupEndsASleepAlsoWhenItComesFirst() throws Exception {
    Transport transport = make();
    transport.start(new Quiet());
    try {
      while (transport.progress() != 0) {
        Thread.onSpinWait();
      }
      long start = System.nanoTime();
      transport.wakeup();
      transport.wakeup();
      transport.awaitEvent(60_000_000_000L);
      Thread other = Thread.ofPlatform().start(transport::wakeup);
      transport.awaitEvent(60_000_000_000L);
      transport.awaitEvent(10_000_000L);
      transport.awaitEvent(10_000_000L);
      transport.awaitEvent(10_000_000L);
      assertThat(System.nanoTime() - start).isLessThan(10_000_000_000L);
      assertThat(other).isNotNull();
    } finally {
      transport.close();
    }
    transport.wakeup();
    transport.close();
    assertThat(transport.progress()).isZero();
  }

  @Test
  void whatAHandlerThrowsReachesTheOwnerAndNothingElseBreaks() throws Exception {
    Transport bad = make();
    bad.start(
        new Handler() {
          @Override
          public Landing onMessage(long connection, MemorySegment header, long payloadBytes) {
            throw new IllegalStateException("thrown by the handler");
          }

          @Override
          public void onPeerLost(int peer, String reason) {}
        });
    try (OwnerNode a = node(1)) {
      a.connect(20, bad.address());
      Flood flood = a.send(20, 5, MIB, 1, false);
      assertThatThrownBy(
              () -> {
                while (true) {
                  bad.progress();
                }
              })
          .hasMessage("thrown by the handler");
      while (!flood.result.isDone()) {
        try {
          bad.progress();
        } catch (IllegalStateException expected) {
          assertThat(expected).hasMessage("thrown by the handler");
        }
      }
      assertThat(flood.result.get()).isZero();
    } finally {
      bad.close();
    }
  }

  @Test
  void aTransportStartsOnceAndSaysWhereItIs() throws Exception {
    Transport transport = make();
    transport.start(new Quiet());
    assertThat(transport.address()).matches("127\\.0\\.0\\.1:[1-9][0-9]*");
    assertThatThrownBy(() -> transport.start(new Quiet()))
        .isInstanceOf(IllegalStateException.class);
    transport.close();
  }

  /** Takes nothing. */
  public static final class Quiet implements Handler {
    @Override
    public Landing onMessage(long connection, MemorySegment header, long payloadBytes) {
      return Landing.DISCARD;
    }

    @Override
    public void onPeerLost(int peer, String reason) {}
  }
}
