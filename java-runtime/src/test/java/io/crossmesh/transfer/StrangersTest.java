package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.transfer.sim.Quad;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Messages that no honest peer sends are dropped and counted, and change nothing. */
@Timeout(60)
class StrangersTest {
  private static final Transport.SendDone NOTHING =
      new Transport.SendDone() {
        @Override
        public void sent() {
          // not waited for
        }

        @Override
        public void failed(String reason) {
          // not waited for
        }
      };

  @TempDir Path directory;

  private static MemorySegment header(WireHeader header) {
    MemorySegment memory = Arena.ofAuto().allocate(WireHeader.BYTES, 8);
    header.encode(memory);
    return memory;
  }

  /** Host a's transport knows its peers by the numbers that its engine gave them: 0, 1, 2. */
  private static void sendToAll(Quad quad, MemorySegment header, MemorySegment payload) {
    for (int peer = 0; peer < 3; peer++) {
      quad.host("a").transport().send(peer, header, payload, true, NOTHING);
    }
  }

  @Test
  void anUnknownEpochIsNobody() {
    try (Quad quad = new Quad(directory, 1 << 20)) {
      Quad.Parties x = quad.open("x", 1);
      long before = quad.host("d").status().droppedMessages();
      WireHeader header = new WireHeader().reset(MessageKind.CHANNEL_FAIL, 999);
      header.channel = x.a().info().channelId();
      sendToAll(quad, header(header), MemorySegment.NULL);
      quad.cluster().run(Quad.SECOND / 8);
      assertThat(quad.host("d").status().droppedMessages()).isEqualTo(before + 1);
      quad.step(x, 0);
      assertThat(x.d().outcome(0)).isEqualTo("received");
    }
  }

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void chunksAndClaimsOutOfPlaceChangeNothing(long seed) {
    Random dice = new Random(seed);
    try (Quad quad = new Quad(directory, 1 << 20)) {
      Quad.Parties x = quad.open("x", 2);
      long epoch = quad.host("a").status().epoch();
      x.receivers().forEach(receiver -> receiver.recv(0));
      quad.cluster().run(Quad.SECOND / 8);
      for (int i = 0; i < 300; i++) {
        MessageKind kind =
            switch (dice.nextInt(4)) {
              case 0 -> MessageKind.CLAIM;
              case 1 -> MessageKind.READY;
              case 2 -> MessageKind.UNCLAIM;
              default -> MessageKind.CHUNK;
            };
        WireHeader header = new WireHeader().reset(kind, epoch);
        header.channel = dice.nextBoolean() ? x.a().info().channelId() : dice.nextLong();
        header.step = 1L + dice.nextInt(3);
        header.move = dice.nextInt(40);
        header.chunk = dice.nextInt(10);
        byte[] garbage = new byte[1 + dice.nextInt(200)];
        dice.nextBytes(garbage);
        MemorySegment payload = Arena.ofAuto().allocate(garbage.length);
        payload.copyFrom(MemorySegment.ofArray(garbage));
        header.length = garbage.length;
        sendToAll(quad, header(header), payload);
      }
      quad.cluster().run(Quad.SECOND / 8);
      assertThat(quad.host("d").status().droppedMessages()).isGreaterThan(100);
      x.senders().forEach(sender -> sender.send(0));
      quad.settle(x);
      assertThat(x.c().outcome(0)).isEqualTo("received");
      assertThat(x.d().outcome(0)).isEqualTo("received");
    }
  }
}
