package io.crossmesh.flight.bulk;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * What a call carries, in both directions. On the wire, little-endian: kind (1 byte), {@link
 * #number} and {@link #value} (8 bytes each), then the content.
 */
sealed interface Frame {
  /** Bytes in front of the content. */
  int PRELUDE_BYTES = 17;

  /** Which of a link's announced messages, counted from 0; 0 in a {@link Small}. */
  default long number() {
    return 0;
  }

  /** What the kind says it is; 0 where it says nothing. */
  default long value() {
    return 0;
  }

  byte kind();

  /** The content, which stays as it is until the frame was written. */
  default MemorySegment content() {
    return MemorySegment.NULL;
  }

  /**
   * A message with its payload.
   *
   * @param content header, then payload
   */
  record Small(MemorySegment content) implements Frame {
    static final byte KIND = 1;

    @Override
    public byte kind() {
      return KIND;
    }
  }

  /**
   * The header of a message whose payload waits at its sender.
   *
   * @param value bytes of the payload
   */
  record Announced(long number, long value, MemorySegment content) implements Frame {
    static final byte KIND = 2;

    @Override
    public byte kind() {
      return KIND;
    }
  }

  /**
   * A piece of an announced payload, on its way out.
   *
   * @param value where in the payload
   */
  record Piece(long number, long value, MemorySegment content) implements Frame {
    static final byte KIND = 3;

    @Override
    public byte kind() {
      return KIND;
    }
  }

  /**
   * A piece that has come; to be closed.
   *
   * @param value where in the payload
   * @param bytes the content
   */
  record PieceIn(long number, long value, InputStream bytes) implements Frame, AutoCloseable {
    @Override
    public byte kind() {
      return Piece.KIND;
    }

    @Override
    public MemorySegment content() {
      throw new UnsupportedOperationException("only what is sent has its content in one place");
    }

    @Override
    public void close() {
      try {
        bytes.close();
      } catch (IOException e) {
        // It is memory: there is nothing that could fail.
      }
    }
  }

  /** The answer to an announcement: have the payload. */
  record Fetch(long number) implements Frame {
    static final byte KIND = 4;

    @Override
    public byte kind() {
      return KIND;
    }
  }

  /** The answer to an announcement: the payload is not wanted. */
  record Unwanted(long number) implements Frame {
    static final byte KIND = 5;

    @Override
    public byte kind() {
      return KIND;
    }
  }

  /** Little-endian numbers of a prelude. */
  ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(java.nio.ByteOrder.LITTLE_ENDIAN);
}
