package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32C;

/**
 * The fixed header in front of every message, little-endian:
 *
 * <pre>
 * offset size field
 *      0    4 magic        {@value #MAGIC_TEXT}
 *      4    2 version      {@value #VERSION}
 *      6    1 kind         {@link MessageKind#code()}
 *      7    1 flags        bit 0: the payload CRC is set; bit 1, of a chunk: its sender begins the step;
 *                          bit 2, of a {@link MessageKind#DONE}: a set is reserved for a later step
 *      8    8 epoch        of the sender's agent
 *     16    8 channel      incarnation of the channel, 0 for messages about none
 *     24    8 step
 *     32    4 move         index in the plan
 *     36    4 chunk        index in the move; with bit 2 of the flags, how much later that step is
 *     40    8 length       bytes of the payload
 *     48    8 pass         {@link Passes}: what the receiver wants to be shown by the sender
 *     56    4 payload CRC  CRC32C of the payload, 0 when not flagged
 *     60    4 header CRC   CRC32C of bytes 0 to 59
 * </pre>
 *
 * One instance is used again and again by one thread: {@link #decode} fills it from a message,
 * {@link #encode} lays it out. Neither allocates.
 */
public final class WireHeader {
  /** Size of a header in bytes. */
  public static final int BYTES = 64;

  /** Version of the layout and of what the kinds mean. */
  public static final int VERSION = 3;

  static final String MAGIC_TEXT = "XMSH";
  static final int FLAG_PAYLOAD_CRC = 1;
  static final int FLAG_BEGINS = 2;
  static final int FLAG_GRANTS = 4;
  private static final int MAGIC = 'X' | 'M' << 8 | 'S' << 16 | 'H' << 24;
  private static final int CRC_OFFSET = 60;
  static final int EPOCH_OFFSET = 8;

  private final byte[] bytes = new byte[BYTES];
  private final ByteBuffer view = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  private final CRC32C crc = new CRC32C();

  MessageKind kind = MessageKind.HELLO;
  int flags;
  long epoch;
  long channel;
  long step;
  int move;
  int chunk;
  long length;
  long pass;
  int payloadCrc;

  /** Sets every field that only some kinds use to zero. */
  WireHeader reset(MessageKind kind, long epoch) {
    this.kind = kind;
    this.epoch = epoch;
    flags = 0;
    channel = 0;
    step = 0;
    move = 0;
    chunk = 0;
    length = 0;
    pass = Passes.NONE;
    payloadCrc = 0;
    return this;
  }

  /** Whether the chunk says as well what a {@link MessageKind#START} says. */
  boolean begins() {
    return (flags & FLAG_BEGINS) != 0;
  }

  /** Whether the message says as well what a {@link MessageKind#GRANT} of a later step says. */
  boolean grants() {
    return (flags & FLAG_GRANTS) != 0;
  }

  /** The step that it grants. */
  long granted() {
    return step + chunk;
  }

  /** The checksum of the payload, or {@link Checksums#NONE}. */
  long checksum() {
    return (flags & FLAG_PAYLOAD_CRC) == 0 ? Checksums.NONE : Integer.toUnsignedLong(payloadCrc);
  }

  /** Lays the header out at the start of {@code target}. */
  void encode(MemorySegment target) {
    view.putInt(0, MAGIC)
        .putShort(4, (short) VERSION)
        .put(6, kind.code())
        .put(7, (byte) flags)
        .putLong(EPOCH_OFFSET, epoch)
        .putLong(16, channel)
        .putLong(24, step)
        .putInt(32, move)
        .putInt(36, chunk)
        .putLong(40, length)
        .putLong(48, pass)
        .putInt(56, payloadCrc)
        .putInt(CRC_OFFSET, headerCrc());
    MemorySegment.copy(bytes, 0, target, ValueLayout.JAVA_BYTE, 0, BYTES);
  }

  /**
   * Reads a header.
   *
   * @return false when it is none of ours, of another version, damaged or out of range; the fields
   *     are then without meaning
   */
  boolean decode(MemorySegment source, long payloadBytes) {
    if (source.byteSize() < BYTES) {
      return false;
    }
    MemorySegment.copy(source, ValueLayout.JAVA_BYTE, 0, bytes, 0, BYTES);
    if (view.getInt(0) != MAGIC
        || view.getShort(4) != VERSION
        || view.getInt(CRC_OFFSET) != headerCrc()
        || !MessageKind.known(view.get(6))) {
      return false;
    }
    kind = MessageKind.of(view.get(6));
    flags = view.get(7) & 0xff;
    epoch = view.getLong(EPOCH_OFFSET);
    channel = view.getLong(16);
    step = view.getLong(24);
    move = view.getInt(32);
    chunk = view.getInt(36);
    length = view.getLong(40);
    pass = view.getLong(48);
    payloadCrc = view.getInt(56);
    return (flags & ~flagsOf(kind)) == 0
        && move >= 0
        && chunk >= 0
        && length >= 0
        && length == payloadBytes;
  }

  private static int flagsOf(MessageKind kind) {
    return switch (kind) {
      case CHUNK -> FLAG_PAYLOAD_CRC | FLAG_BEGINS;
      case DONE -> FLAG_PAYLOAD_CRC | FLAG_GRANTS;
      default -> FLAG_PAYLOAD_CRC;
    };
  }

  private int headerCrc() {
    crc.reset();
    crc.update(bytes, 0, CRC_OFFSET);
    return (int) crc.getValue();
  }
}
