package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class WireHeaderTest {
  private final MemorySegment memory = Arena.ofAuto().allocate(WireHeader.BYTES, 8);

  private void encode() {
    WireHeader header = new WireHeader().reset(MessageKind.CHUNK, -7);
    header.channel = Long.MIN_VALUE;
    header.step = 41;
    header.move = 3;
    header.chunk = Integer.MAX_VALUE;
    header.length = 1L << 40;
    header.pass = -9;
    header.encode(memory);
  }

  @Test
  void readsWhatItWrote() {
    encode();
    WireHeader read = new WireHeader();
    assertThat(read.decode(memory, 1L << 40)).isTrue();
    assertThat(read.kind).isEqualTo(MessageKind.CHUNK);
    assertThat(read.epoch).isEqualTo(-7);
    assertThat(read.channel).isEqualTo(Long.MIN_VALUE);
    assertThat(read.step).isEqualTo(41);
    assertThat(read.pass).isEqualTo(-9);
    assertThat(read.move).isEqualTo(3);
    assertThat(read.chunk).isEqualTo(Integer.MAX_VALUE);
  }

  @Test
  void refusesEveryFlippedBit() {
    for (int bit = 0; bit < WireHeader.BYTES * 8; bit++) {
      encode();
      byte was = memory.get(ValueLayout.JAVA_BYTE, bit / 8);
      memory.set(ValueLayout.JAVA_BYTE, bit / 8, (byte) (was ^ 1 << (bit % 8)));
      assertThat(new WireHeader().decode(memory, 1L << 40)).as("bit %d", bit).isFalse();
    }
  }

  @Test
  void onlyAChunkSaysThatItsSenderBeginsTheStep() {
    onlySays(WireHeader.FLAG_BEGINS, MessageKind.CHUNK);
  }

  @Test
  void onlyTheEndOfAStepSaysThatALaterOneIsGranted() {
    onlySays(WireHeader.FLAG_GRANTS, MessageKind.DONE);
  }

  private void onlySays(int flag, MessageKind only) {
    for (MessageKind kind : MessageKind.values()) {
      WireHeader header = new WireHeader().reset(kind, 1);
      header.flags = flag;
      header.encode(memory);
      WireHeader read = new WireHeader();
      assertThat(read.decode(memory, 0)).as("%s", kind).isEqualTo(kind == only);
    }
  }

  @Test
  void refusesAnotherLengthThanThePayloadHas() {
    encode();
    assertThat(new WireHeader().decode(memory, 5)).isFalse();
    assertThat(new WireHeader().decode(memory.asSlice(0, 63), 1L << 40)).isFalse();
  }

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {1, 2, 3})
  void refusesGarbage(long seed) {
    Random dice = new Random(seed);
    byte[] garbage = new byte[WireHeader.BYTES];
    for (int i = 0; i < 10_000; i++) {
      dice.nextBytes(garbage);
      memory.copyFrom(MemorySegment.ofArray(garbage));
      assertThat(new WireHeader().decode(memory, dice.nextInt(100))).isFalse();
    }
  }
}
