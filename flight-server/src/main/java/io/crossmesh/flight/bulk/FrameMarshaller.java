package io.crossmesh.flight.bulk;

import io.crossmesh.transfer.WireHeader;
import io.grpc.Detachable;
import io.grpc.Drainable;
import io.grpc.KnownLength;
import io.grpc.MethodDescriptor.Marshaller;
import io.grpc.Status;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Frames as gRPC's messages. Pieces of payloads are copied once into gRPC's buffers and, where they
 * arrive, once out of them.
 */
final class FrameMarshaller implements Marshaller<Frame> {
  /** Payloads up to this size travel with their header. */
  static final int SMALL_BYTES_MAX = 16 << 10;

  /** What lies between tile and gRPC at a time: small enough to stay in a core's cache. */
  private static final int SCRATCH_BYTES = 32 << 10;

  private static final ThreadLocal<byte[]> SCRATCH =
      ThreadLocal.withInitial(() -> new byte[SCRATCH_BYTES]);

  @Override
  public InputStream stream(Frame frame) {
    return new Outgoing(frame);
  }

  @Override
  public Frame parse(InputStream stream) {
    try {
      byte[] bytes = stream.readNBytes(Frame.PRELUDE_BYTES);
      if (bytes.length < Frame.PRELUDE_BYTES) {
        throw malformed("a frame of " + bytes.length + " bytes");
      }
      MemorySegment prelude = MemorySegment.ofArray(bytes);
      long number = prelude.get(Frame.LONG, 1);
      long value = prelude.get(Frame.LONG, 9);
      if (number < 0 || value < 0) {
        throw malformed("a negative number");
      }
      return switch (bytes[0]) {
        case Frame.Small.KIND ->
            new Frame.Small(content(stream, WireHeader.BYTES, WireHeader.BYTES + SMALL_BYTES_MAX));
        case Frame.Announced.KIND ->
            new Frame.Announced(number, value, content(stream, WireHeader.BYTES, WireHeader.BYTES));
        case Frame.Piece.KIND -> new Frame.PieceIn(number, value, kept(stream));
        case Frame.Fetch.KIND -> new Frame.Fetch(number);
        case Frame.Unwanted.KIND -> new Frame.Unwanted(number);
        default -> throw malformed("a frame of kind " + bytes[0]);
      };
    } catch (IOException e) {
      throw Status.INTERNAL.withCause(e).asRuntimeException();
    }
  }

  private static MemorySegment content(InputStream stream, int least, int most) throws IOException {
    byte[] bytes = stream.readNBytes(most + 1);
    if (bytes.length < least || bytes.length > most) {
      throw malformed("a message of " + bytes.length + " bytes or more");
    }
    // Longs, so that whoever reads numbers of a header finds them aligned.
    MemorySegment content = MemorySegment.ofArray(new long[(bytes.length + 7) / 8]);
    MemorySegment.copy(bytes, 0, content, ValueLayout.JAVA_BYTE, 0, bytes.length);
    return content.asSlice(0, bytes.length);
  }

  /** gRPC takes its stream back after the call; what it holds goes on in another. */
  private static InputStream kept(InputStream stream) throws IOException {
    return stream instanceof Detachable detachable
        ? detachable.detach()
        : new ByteArrayInputStream(stream.readAllBytes());
  }

  private static RuntimeException malformed(String what) {
    return Status.INVALID_ARGUMENT
        .withDescription("%s is none of this protocol".formatted(what))
        .asRuntimeException();
  }

  /** A frame as gRPC wants it: of known length, written in one go. */
  private static final class Outgoing extends InputStream implements Drainable, KnownLength {
    private final MemorySegment prelude = MemorySegment.ofArray(new byte[Frame.PRELUDE_BYTES]);
    private final MemorySegment content;
    private final long bytes;
    private long at;

    Outgoing(Frame frame) {
      prelude.set(ValueLayout.JAVA_BYTE, 0, frame.kind());
      prelude.set(Frame.LONG, 1, frame.number());
      prelude.set(Frame.LONG, 9, frame.value());
      content = frame.content();
      bytes = Frame.PRELUDE_BYTES + content.byteSize();
    }

    @Override
    public int drainTo(OutputStream target) throws IOException {
      byte[] scratch = SCRATCH.get();
      long before = at;
      while (at < bytes) {
        int count = read(scratch, 0, scratch.length);
        target.write(scratch, 0, count);
      }
      return (int) (at - before);
    }

    @Override
    public int available() {
      return (int) (bytes - at);
    }

    @Override
    public int read(byte[] target, int offset, int length) {
      if (at == bytes) {
        return -1;
      }
      boolean front = at < Frame.PRELUDE_BYTES;
      MemorySegment from = front ? prelude : content;
      long start = front ? at : at - Frame.PRELUDE_BYTES;
      int count = (int) Math.min(length, from.byteSize() - start);
      MemorySegment.copy(from, ValueLayout.JAVA_BYTE, start, target, offset, count);
      at += count;
      return count;
    }

    @Override
    public int read() {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }
  }
}
