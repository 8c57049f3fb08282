package io.crossmesh.flight.bulk;

import io.crossmesh.transfer.Transport.Landing;
import io.grpc.HasByteBuffer;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * An announced payload from its announcement to its end, which is told once. A thread of gRPC
 * writes its pieces to where the engine wants them; the lock keeps it from doing so after the end.
 */
final class Payload implements Runnable {
  private final Inbound inbound;
  private final Landing landing;
  private final long number;
  private final long bytes;
  private MemorySegment place = MemorySegment.NULL;
  private long at;
  private boolean ended;

  Payload(Inbound inbound, Landing landing, long number, long bytes) {
    this.inbound = inbound;
    this.landing = landing;
    this.number = number;
    this.bytes = bytes;
  }

  long number() {
    return number;
  }

  long bytes() {
    return bytes;
  }

  Landing landing() {
    return landing;
  }

  /** Has it sent. By the owner thread. */
  @Override
  public void run() {
    if (!over()) {
      MemorySegment given = landing.segment();
      synchronized (this) {
        place = given;
      }
      inbound.fetch(this);
    }
  }

  private synchronized boolean over() {
    return ended;
  }

  /**
   * Writes a piece; whether it was the last.
   *
   * @throws IOException if it is not the piece that is due
   */
  synchronized boolean write(Frame.PieceIn piece) throws IOException {
    if (ended) {
      return false;
    }
    if (piece.value() != at) {
      throw new IOException("piece at %d, due is %d".formatted(piece.value(), at));
    }
    at += copy(piece.bytes(), place.asSlice(at));
    return at == bytes;
  }

  private static long copy(InputStream from, MemorySegment to) throws IOException {
    long copied = 0;
    if (from instanceof HasByteBuffer view && view.byteBufferSupported()) {
      for (ByteBuffer some = view.getByteBuffer();
          some != null && some.hasRemaining();
          some = view.getByteBuffer()) {
        MemorySegment source = MemorySegment.ofBuffer(some);
        copied += put(source, to, copied);
        from.skipNBytes(source.byteSize());
      }
      return copied;
    }
    for (byte[] some = from.readNBytes(FrameMarshaller.SMALL_BYTES_MAX);
        some.length > 0;
        some = from.readNBytes(FrameMarshaller.SMALL_BYTES_MAX)) {
      copied += put(MemorySegment.ofArray(some), to, copied);
    }
    return copied;
  }

  private static long put(MemorySegment from, MemorySegment to, long at) throws IOException {
    if (from.byteSize() > to.byteSize() - at) {
      throw new IOException("more bytes than were announced");
    }
    MemorySegment.copy(from, 0, to, at, from.byteSize());
    return from.byteSize();
  }

  /** Ends it, by the owner thread; false if it had ended. */
  synchronized boolean end() {
    boolean first = !ended;
    ended = true;
    return first;
  }

  /** Tells the engine. */
  void tell(@Nullable String failure) {
    if (failure == null) {
      landing.landed();
    } else {
      landing.failed(failure);
    }
  }
}
