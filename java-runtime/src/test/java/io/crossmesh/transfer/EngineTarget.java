package io.crossmesh.transfer;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.crossmesh.fuzz.FuzzTarget;
import io.crossmesh.transfer.sim.Quad;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.zip.CRC32C;

/**
 * Whole messages, in the name of a peer, to engines with a channel in the middle of a step. Whether
 * they are believed is not asked, as they look like the peer's; but nothing may break.
 */
final class EngineTarget {
  /** Then the hosts are fresh ones again, and the channel another. */
  private static final int MESSAGES_PER_CLUSTER = 500;

  private static final int HEADER = WireHeader.BYTES;
  private static final int CRC_OFFSET = 60;
  private static final int LENGTH_OFFSET = 40;
  private static final int KIND_OFFSET = 6;
  private static final int PASS_OFFSET = 48;

  /** By the numbers that the engine of a gave them. */
  private static final List<String> PEERS = List.of("b", "c", "d");

  private static final Transport.SendDone IGNORED =
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

  private final Path directory;
  private Quad quad;
  private long channel;
  private int messages;

  private EngineTarget(Path directory) {
    this.directory = directory;
    this.quad = fresh();
  }

  static FuzzTarget of(Path directory) {
    EngineTarget target = new EngineTarget(directory);
    return new FuzzTarget(
        "engine",
        false,
        target.valid(),
        Set.of(),
        FuzzTarget.ALLOCATED_MAX,
        target::read,
        () -> target.quad.close());
  }

  private Quad fresh() {
    Quad made = new Quad(directory, 1 << 20);
    Quad.Parties parties = made.open("x", 2);
    parties.receivers().forEach(receiver -> receiver.recv(0));
    parties.a().send(0);
    made.cluster().run(Quad.SECOND / 8);
    channel = parties.a().info().channelId();
    return made;
  }

  private List<byte[]> valid() {
    List<byte[]> valid = new ArrayList<>();
    Failure failure = new Failure(io.crossmesh.Code.TRANSFER_CANCELLED, "enough; open it again.");
    for (MessageKind kind : MessageKind.values()) {
      byte[] payload =
          switch (kind) {
            case HELLO, WELCOME -> ControlCodec.hello(new ControlCodec.Hello("a", 1));
            case CLAIM -> TransferTargets.claim().getBytes(UTF_8);
            case UNCLAIM ->
                ControlCodec.withdrawal(
                    new ControlCodec.Withdrawal(9, "y", failure, List.of(new Claim.Id(5, 5))));
            case READY -> ControlCodec.ready(new ControlCodec.Ready("0123", 1));
            case CHANNEL_FAIL, STEP_FAIL -> ControlCodec.failure(failure);
            case DIGESTS -> ControlCodec.digests(List.of(new ControlCodec.Digest(0, 1)));
            case CLOSE -> ControlCodec.number(9);
            case RESEND, LACKS -> ControlCodec.chunk(new ControlCodec.Chunk(0, 0));
            case LOST -> ControlCodec.loss(new ControlCodec.Loss("b", "gone"));
            case START, GRANT, DONE, GIVE_UP, OVER, PING, PONG -> new byte[0];
            case CHUNK -> new byte[48];
          };
      WireHeader header = new WireHeader().reset(kind, 0);
      header.step = kind == MessageKind.CHUNK ? 0 : 1;
      header.length = payload.length;
      byte[] message = Arrays.copyOf(encode(header), HEADER + payload.length);
      System.arraycopy(payload, 0, message, HEADER, payload.length);
      valid.add(message);
    }
    WireHeader both = new WireHeader().reset(MessageKind.DONE, 0);
    both.flags = WireHeader.FLAG_GRANTS;
    both.step = 1;
    both.chunk = 2;
    valid.add(encode(both));
    return valid;
  }

  /** The channel and the epoch of an undamaged message stand for those there are now. */
  private boolean read(byte[] input) {
    byte[] message = input.length < HEADER ? Arrays.copyOf(input, HEADER) : input.clone();
    ByteBuffer view = ByteBuffer.wrap(message).order(ByteOrder.LITTLE_ENDIAN);
    view.putLong(8, view.getLong(8) + quad.host("a").status().epoch());
    view.putLong(16, view.getLong(16) + channel);
    // Most lengths tell the truth, as a transport knows what has come.
    if (message.length % 8 != 7) {
      view.putLong(LENGTH_OFFSET, message.length - HEADER);
    }
    MemorySegment payload = Arena.ofAuto().allocate(Math.max(1, message.length - HEADER));
    payload = payload.asSlice(0, message.length - HEADER);
    payload.copyFrom(MemorySegment.ofArray(message).asSlice(HEADER));
    long before = dropped();
    for (int peer = 0; peer < PEERS.size(); peer++) {
      MemorySegment header = Arena.ofAuto().allocate(HEADER, 8);
      header.copyFrom(MemorySegment.ofArray(Arrays.copyOf(shown(message, peer), HEADER)));
      quad.host("a").transport().send(peer, header, payload, (peer & 1) == 0, IGNORED);
    }
    quad.cluster().run(Quad.SECOND / 512);
    boolean accepted = dropped() == before;
    if (++messages % MESSAGES_PER_CLUSTER == 0) {
      quad.close();
      quad = fresh();
    }
    return accepted;
  }

  /** The message to a peer: its pass is that of an honest message, unless it was damaged. */
  private byte[] shown(byte[] message, int peer) {
    ByteBuffer view = ByteBuffer.wrap(message.clone()).order(ByteOrder.LITTLE_ENDIAN);
    byte kind = view.get(KIND_OFFSET);
    long pass =
        MessageKind.known(kind)
            ? quad.host("a").engine().passTo(PEERS.get(peer), MessageKind.of(kind), channel)
            : Passes.NONE;
    view.putLong(PASS_OFFSET, view.getLong(PASS_OFFSET) + pass);
    return mended(view.array());
  }

  private long dropped() {
    return quad.host("d").status().droppedMessages();
  }

  static byte[] encode(WireHeader header) {
    byte[] bytes = new byte[HEADER];
    header.encode(MemorySegment.ofArray(bytes));
    return bytes;
  }

  static boolean decode(WireHeader header, byte[] input) {
    long payload =
        input.length < HEADER
            ? 0
            : ByteBuffer.wrap(input).order(ByteOrder.LITTLE_ENDIAN).getLong(LENGTH_OFFSET);
    return header.decode(MemorySegment.ofArray(input), payload);
  }

  /** The message with the checksum of its header as it is now. */
  static byte[] mended(byte[] input) {
    byte[] mended = input.clone();
    if (mended.length >= HEADER) {
      CRC32C crc = new CRC32C();
      crc.update(mended, 0, CRC_OFFSET);
      ByteBuffer.wrap(mended)
          .order(ByteOrder.LITTLE_ENDIAN)
          .putInt(CRC_OFFSET, (int) crc.getValue());
    }
    return mended;
  }
}
