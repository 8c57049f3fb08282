package io.crossmesh.gateway;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;

/**
 * What a client says first on its lifeline: eight bytes that name the protocol, and a key of 16
 * bytes. What comes after it has no meaning yet and is passed over.
 */
final class Greeting {
  static final byte[] MAGIC = "CMLIFE01".getBytes(StandardCharsets.US_ASCII);
  static final int KEY_BYTES = 16;

  private static final int LATER_BYTES = 256;

  private final ByteBuffer bytes = ByteBuffer.allocate(MAGIC.length + KEY_BYTES);

  /** Whether it has come. */
  boolean said() {
    return !bytes.hasRemaining();
  }

  /**
   * Reads what is there.
   *
   * @return the key in hexadecimal digits, once: when the last byte of the greeting has come
   * @throws IOException when the connection has ended, or speaks something else
   */
  @Nullable String read(SocketChannel channel) throws IOException {
    if (said()) {
      readOn(channel, ByteBuffer.allocate(LATER_BYTES));
      return null;
    }
    readOn(channel, bytes);
    if (!said()) {
      return null;
    }
    if (!ByteBuffer.wrap(MAGIC).equals(bytes.slice(0, MAGIC.length))) {
      throw new IOException("a greeting of another protocol");
    }
    return HexFormat.of().formatHex(bytes.array(), MAGIC.length, bytes.capacity());
  }

  /** Tells the client that its key is known. */
  void answer(SocketChannel channel) throws IOException {
    if (channel.write(ByteBuffer.allocate(1)) != 1) {
      throw new IOException("the client takes no answer");
    }
  }

  private static void readOn(SocketChannel channel, ByteBuffer into) throws IOException {
    if (channel.read(into) < 0) {
      throw new EOFException("the client has ended");
    }
  }
}
