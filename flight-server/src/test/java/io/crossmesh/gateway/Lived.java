package io.crossmesh.gateway;

import java.io.IOException;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.HexFormat;

/** A client's end of a lifeline, played by hand. */
final class Lived implements AutoCloseable {
  private static final SecureRandom RANDOM = new SecureRandom();

  private final SocketChannel channel;
  private final byte[] key = new byte[Greeting.KEY_BYTES];

  private Lived(SocketChannel channel) {
    this.channel = channel;
    RANDOM.nextBytes(key);
  }

  /** Connects and says nothing. */
  static Lived silent(Path path) throws IOException {
    return new Lived(SocketChannel.open(UnixDomainSocketAddress.of(path)));
  }

  /** Connects, says a key and hears that it is known. */
  static Lived at(Path path) throws IOException {
    Lived lived = silent(path);
    lived.say(Greeting.MAGIC, lived.key);
    if (lived.hear() != 1) {
      throw new IOException("no answer");
    }
    return lived;
  }

  void say(byte[]... parts) throws IOException {
    for (byte[] part : parts) {
      channel.write(ByteBuffer.wrap(part));
    }
  }

  /** The bytes of an answer; -1 when the other side has ended. */
  int hear() throws IOException {
    return channel.read(ByteBuffer.allocate(1));
  }

  String key() {
    return HexFormat.of().formatHex(key);
  }

  /** Ends as a process that was killed does. */
  void end() throws IOException {
    channel.close();
  }

  @Override
  public void close() throws IOException {
    end();
  }
}
