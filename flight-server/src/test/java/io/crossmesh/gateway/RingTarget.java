package io.crossmesh.gateway;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.crossmesh.Code;
import io.crossmesh.fuzz.FuzzTarget;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.table.PlanTables;
import io.crossmesh.transfer.ChannelHandle;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * A client that writes what it likes into its ring: how far its two positions move, a word of
 * sleep, and the records of commands. Its session may end by that, and nothing else may happen.
 */
final class RingTarget {
  private static final int WORDS_BEFORE = 4;
  private static final int WORDS_EACH = 4;

  private final Path directory;
  private final Doorbell bell;
  private long rings;
  private Client client;

  private RingTarget(Path directory) {
    this.directory = directory;
    try {
      bell = Doorbell.create(directory.resolve("bell"));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    client = new Client();
  }

  static FuzzTarget of(Path directory) {
    RingTarget target = new RingTarget(directory);
    return new FuzzTarget(
        "ring", false, valid(), Set.of(), FuzzTarget.ALLOCATED_MAX, target::read, target::close);
  }

  private static List<byte[]> valid() {
    List<byte[]> valid = new ArrayList<>();
    for (int kind = ClientRing.SEND; kind <= ClientRing.RELEASE; kind++) {
      ByteBuffer input =
          ByteBuffer.allocate(Long.BYTES * (WORDS_BEFORE + 2 * WORDS_EACH))
              .order(ByteOrder.LITTLE_ENDIAN);
      input.putLong(2).putLong(0).putLong(0).putLong(0);
      for (int step = 0; step < 2; step++) {
        input.putLong(kind).putLong(1).putLong(step).putLong(step);
      }
      valid.add(input.array());
    }
    return valid;
  }

  private boolean read(byte[] input) {
    ByteBuffer words = ByteBuffer.wrap(input).order(ByteOrder.LITTLE_ENDIAN);
    if (words.remaining() < Long.BYTES * WORDS_BEFORE) {
      return false;
    }
    client.write(words);
    client.ring.drain();
    // A refusal or an answer is told as any event is.
    client.session.tell(ClientRing.DELIVERED, 1, 0, 0, 0, 0);
    client.ring.drain();
    client.ring.drain();
    boolean lives = !client.ring.over();
    if (!lives) {
      client.close();
      client = new Client();
    }
    return lives;
  }

  private void close() {
    client.close();
    bell.close();
  }

  private final class Client {
    private final Session session;
    private final ClientRing ring;
    private final Arena memory = Arena.ofConfined();
    private final MemorySegment shared;
    private long tail;

    Client() {
      session =
          new Session(
              1,
              ProcessHandle.current().pid(),
              "fuzzer",
              (request, participant) -> new Nothing(),
              new PlanRegistry(new PlanTables(directory)));
      Path path = directory.resolve("ring-" + ++rings);
      try {
        ring = ClientRing.create(path, bell, session);
        session.attach(ring);
        session.open(
            ChannelRequests.read(
                io.crossmesh.mesh.JsonValue.parse(PlannerGatewayTest.CHANNEL, "channel"),
                "fuzzer"));
        try (FileChannel file =
            FileChannel.open(path, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
          shared = file.map(FileChannel.MapMode.READ_WRITE, 0, ClientRing.FILE_BYTES, memory);
        }
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    void write(ByteBuffer words) {
      long ahead = words.getLong();
      shared.set(JAVA_LONG, ClientRing.CLIENT_SLEEPS, words.getLong());
      shared.set(JAVA_LONG, ClientRing.EVENTS_HEAD, words.getLong() + eventsTail());
      shared.set(JAVA_LONG, ClientRing.SETS_WANTED, words.getLong());
      long at = tail;
      while (words.remaining() >= Long.BYTES * WORDS_EACH) {
        long record = ClientRing.COMMANDS + (at++ % ClientRing.RECORDS) * ClientRing.RECORD_BYTES;
        for (int word = 0; word < WORDS_EACH; word++) {
          shared.set(JAVA_LONG, record + (long) word * Long.BYTES, words.getLong());
        }
      }
      shared.set(JAVA_LONG, ClientRing.COMMANDS_TAIL, tail + ahead);
      tail += ahead;
    }

    private long eventsTail() {
      return shared.get(JAVA_LONG, ClientRing.EVENTS_TAIL);
    }

    void close() {
      session.close("the end");
      ring.drain();
      memory.close();
    }
  }

  /** A channel on which nothing happens. */
  private static final class Nothing implements ChannelHandle {
    @Override
    public void send(long step, int stagingSet) {
      // nothing happens
    }

    @Override
    public void recv(long step) {
      // nothing happens
    }

    @Override
    public void release(long receipt) {
      // nothing happens
    }

    @Override
    public void cancel(long step, Code code, String reason) {
      // nothing happens
    }

    @Override
    public void abort(String reason) {
      // nothing happens
    }

    @Override
    public void close() {
      // nothing happens
    }

    @Override
    public void participantGone(String reason) {
      // nothing happens
    }
  }
}
