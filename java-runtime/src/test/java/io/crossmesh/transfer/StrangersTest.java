package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.mesh.Mesh;
import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.Quad;
import io.crossmesh.transfer.sim.SimProcess;
import io.crossmesh.transfer.sim.SimTransport;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
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

  /** By the numbers that the engine of a gave them. */
  private static final List<String> PEERS = List.of("b", "c", "d");

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

  /**
   * What host a sends to host d in the name of another, with what it must show itself, or without.
   */
  private static void forge(Quad quad, MessageKind kind, String as, long channel, boolean shows) {
    WireHeader header = new WireHeader().reset(kind, quad.host(as).status().epoch());
    header.channel = channel;
    header.pass = shows ? quad.host("a").engine().passTo("d", kind, channel) : Passes.NONE;
    byte[] bytes =
        ControlCodec.failure(new Failure(io.crossmesh.Code.TRANSFER_CANCELLED, "enough"));
    MemorySegment payload = Arena.ofAuto().allocate(bytes.length);
    payload.copyFrom(MemorySegment.ofArray(bytes));
    header.length = bytes.length;
    quad.host("a").transport().send(2, header(header), payload, false, NOTHING);
  }

  @ParameterizedTest
  @EnumSource(names = "HELLO", mode = EnumSource.Mode.EXCLUDE)
  void aHostThatWasLetInSpeaksInNobodyElsesName(MessageKind kind) {
    try (Quad quad = new Quad(directory, 1 << 20)) {
      Quad.Parties x = quad.open("x", 1);
      long channel = x.a().info().channelId();
      long before = quad.host("d").status().droppedMessages();
      forge(quad, kind, "b", channel, true);
      forge(quad, kind, "b", channel, false);
      forge(quad, kind, "a", channel, false);
      quad.cluster().run(Quad.SECOND / 8);
      assertThat(quad.host("d").status().droppedMessages()).isEqualTo(before + 3);
      quad.step(x, 0);
      assertThat(x.receivers()).extracting(r -> r.outcome(0)).containsOnly("received");
    }
  }

  @Test
  void answersGoByTheConnectionOfWhoHasShownItsPass() {
    try (Quad quad = new Quad(directory, 1 << 20)) {
      Quad.Parties x = quad.open("x", 1);
      SimTransport d = quad.host("d").transport();
      // The engine of d gave its peers a, b and c the numbers 0, 1 and 2; to each of them it is 2.
      Long ofB = quad.host("b").transport().connection(2);
      assertThat(d.answersBy(1)).isNotNull().isEqualTo(ofB);
      assertThat(quad.host("b").transport().answersBy(2)).isNull();
      for (MessageKind kind : List.of(MessageKind.HELLO, MessageKind.WELCOME)) {
        forge(quad, kind, "b", x.a().info().channelId(), true);
        quad.cluster().run(Quad.SECOND / 8);
        assertThat(d.answersBy(1)).isEqualTo(ofB);
      }
    }
  }

  @Test
  void aHostOfTheClusterHasNoPassForAChannelThatItIsNotOf() {
    Mesh one = Mesh.ofHosts(List.of(1), List.of("b"));
    Mesh other = Mesh.ofHosts(List.of(1), List.of("d"));
    try (Quad quad = new Quad(directory, 1 << 20)) {
      SimProcess from = quad.host("b").open(open(Side.SRC, one));
      SimProcess to = quad.host("d").open(open(Side.DST, other));
      quad.cluster().until(() -> from.isOpen() && to.isOpen(), Quad.SECOND / 2, "open");
      long channel = to.info().channelId();
      assertThat(quad.host("a").engine().passTo("d", MessageKind.START, channel))
          .isEqualTo(Passes.NONE);
      assertThat(quad.host("b").engine().passTo("d", MessageKind.START, channel))
          .isNotEqualTo(Passes.NONE)
          .isNotEqualTo(quad.host("d").engine().passTo("b", MessageKind.START, channel));
      long before = quad.host("d").status().droppedMessages();
      forge(quad, MessageKind.CHANNEL_FAIL, "a", channel, true);
      quad.cluster().run(Quad.SECOND / 8);
      assertThat(quad.host("d").status().droppedMessages()).isEqualTo(before + 1);
      assertThat(to.isOver()).isFalse();
    }
  }

  private static ChannelOpen open(Side side, Mesh mesh) {
    return Cases.open(
        "y", side, List.of(Cases.tensor("w", List.of(8L), "int32", mesh, "R")), List.of(0), 1);
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
        for (int peer = 0; peer < PEERS.size(); peer++) {
          header.pass = quad.host("a").engine().passTo(PEERS.get(peer), kind, header.channel);
          quad.host("a").transport().send(peer, header(header), payload, true, NOTHING);
        }
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
