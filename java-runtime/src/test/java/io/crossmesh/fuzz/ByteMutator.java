package io.crossmesh.fuzz;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;

/** Damages binary messages, by a seed: bits, words, lengths. */
final class ByteMutator {
  private static final long[] WORDS = {
    0,
    1,
    2,
    4095,
    4096,
    4097,
    Integer.MAX_VALUE,
    1L << 31,
    1L << 32,
    1L << 40,
    Long.MAX_VALUE,
    -1,
    -2,
    Long.MIN_VALUE
  };

  private final Random random;

  ByteMutator(Random random) {
    this.random = random;
  }

  /** The message with one to four things wrong with it. */
  byte[] mutate(byte[] message) {
    byte[] out = message.clone();
    for (int n = 1 + random.nextInt(4); n > 0; n--) {
      out = change(out);
    }
    return out;
  }

  private byte[] change(byte[] in) {
    if (in.length < Long.BYTES) {
      byte[] longer = Arrays.copyOf(in, in.length + 1 + random.nextInt(80));
      longer[longer.length - 1] = (byte) random.nextInt();
      return longer;
    }
    int at = random.nextInt(in.length);
    switch (random.nextInt(10)) {
      case 0, 1, 2 -> in[at] ^= (byte) (1 << random.nextInt(8));
      case 3 -> in[at] = (byte) random.nextInt();
      case 4, 5 -> word(in, random.nextInt(in.length / Long.BYTES) * Long.BYTES);
      case 6 -> half(in, random.nextInt(in.length / Integer.BYTES) * Integer.BYTES);
      case 7 -> {
        return Arrays.copyOf(in, at);
      }
      case 8 -> {
        byte[] longer = Arrays.copyOf(in, in.length + 1 + random.nextInt(80));
        System.arraycopy(in, at, longer, at + longer.length - in.length, in.length - at);
        return longer;
      }
      default -> {
        byte[] noise = new byte[1 + random.nextInt(Math.min(16, in.length - at))];
        random.nextBytes(noise);
        System.arraycopy(noise, 0, in, at, Math.min(noise.length, in.length - at));
      }
    }
    return in;
  }

  private void word(byte[] in, int at) {
    ByteBuffer view = ByteBuffer.wrap(in).order(ByteOrder.LITTLE_ENDIAN);
    view.putLong(
        at,
        random.nextBoolean()
            ? view.getLong(at) + random.nextInt(-2, 3)
            : WORDS[random.nextInt(WORDS.length)]);
  }

  private void half(byte[] in, int at) {
    ByteBuffer.wrap(in)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putInt(at, (int) WORDS[random.nextInt(WORDS.length)]);
  }
}
