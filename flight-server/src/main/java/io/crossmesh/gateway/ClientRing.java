package io.crossmesh.gateway;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.crossmesh.memory.Doorbell;
import io.crossmesh.transfer.Mailbox;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/**
 * The hot path between a client and its agent: two rings of fixed records in a file that both map,
 * commands one way and events the other, each with one producer and one consumer, and a {@link
 * Doorbell} for either side, rung only when that side has said that it sleeps. The layout is in
 * docs/agent.md.
 *
 * <p>Invariants:
 *
 * <ul>
 *   <li>Of the client's memory only what it alone may write is read: its two positions, its word of
 *       sleep, its records, each once and then checked. Positions that cannot be end the session;
 *       no other session sees anything of it.
 *   <li>No event is lost and none overtakes another: what finds the ring full waits here and is
 *       moved when the client has made room.
 *   <li>A freed staging set alone wakes only a client that waits for one: to others the news that
 *       its step is delivered follows, and a client that wakes takes a core from the hosts that the
 *       step is on its way to.
 *   <li>A side that sleeps is woken: it says so first and looks once more then; the other leaves
 *       its record first and looks for the word then, with a fence between on both sides.
 * </ul>
 */
final class ClientRing implements Mailbox {
  static final int RECORDS = 4096;
  static final int RECORD_BYTES = 64;

  /** "CMRING01" as it lies in memory. */
  static final long MAGIC = 0x3130474E49524D43L;

  static final long COMMANDS_TAIL = 64;
  static final long COMMANDS_HEAD = 128;
  static final long AGENT_SLEEPS = 192;
  static final long EVENTS_TAIL = 256;
  static final long EVENTS_HEAD = 320;
  static final long CLIENT_SLEEPS = 384;
  static final long EVENTS_WAIT = 448;
  static final long OVER = 512;
  static final long SETS_WANTED = 576;
  static final long COMMANDS = 4096;
  static final long EVENTS = COMMANDS + (long) RECORDS * RECORD_BYTES;
  static final long FILE_BYTES = EVENTS + (long) RECORDS * RECORD_BYTES;

  static final int SEND = 1;
  static final int RECV = 2;
  static final int RELEASE = 3;

  static final int SENT = 1;
  static final int DELIVERED = 2;
  static final int RECEIVED = 3;

  /** One event that is no record waits at {@link PlannerGateway#nextEvents}. */
  static final int ASK = 4;

  private static final VarHandle WORD = JAVA_LONG.varHandle();

  /** Who carries out what comes; on the owner thread. */
  interface Handler {
    void command(long kind, long channel, long number, long set);

    /** What the client wrote makes no sense; nothing more is taken from it. */
    void broken(String why);
  }

  private final Path path;
  private final Doorbell agentBell;
  private final Doorbell clientBell;
  private final Handler handler;
  private final Arena memory;
  private final MemorySegment shared;
  private final Queue<Call> calls = new ConcurrentLinkedQueue<>();
  private final ArrayDeque<long[]> waiting = new ArrayDeque<>();
  private long commandsHead;
  private long eventsTail;
  private boolean broken;
  private volatile boolean closing;
  private volatile boolean over;

  private ClientRing(
      Path path, Doorbell agentBell, Doorbell clientBell, Handler handler, Arena memory)
      throws IOException {
    this.path = path;
    this.agentBell = agentBell;
    this.clientBell = clientBell;
    this.handler = handler;
    this.memory = memory;
    var privately =
        PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));
    try (FileChannel channel =
        FileChannel.open(
            path,
            java.util.Set.of(
                StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE),
            privately)) {
      shared = channel.map(FileChannel.MapMode.READ_WRITE, 0, FILE_BYTES, memory);
    }
    shared.set(JAVA_LONG, 8, RECORDS);
    WORD.setRelease(shared, 0L, MAGIC);
  }

  /**
   * Makes the file and the client's bell.
   *
   * @param base path of the file; the bell is beside it
   * @param agentBell wakes the owner thread
   * @throws IOException if they cannot be made
   */
  // The memory is closed when the owner thread has seen the end of the ring.
  @SuppressWarnings("MustBeClosedChecker")
  static ClientRing create(Path base, Doorbell agentBell, Handler handler) throws IOException {
    Doorbell clientBell = Doorbell.create(base.resolveSibling(base.getFileName() + ".bell"));
    Arena memory = Arena.ofShared();
    try {
      return new ClientRing(base, agentBell, clientBell, handler, memory);
    } catch (IOException | RuntimeException e) {
      memory.close();
      clientBell.close();
      throw e;
    }
  }

  Path path() {
    return path;
  }

  Path clientBell() {
    return clientBell.path();
  }

  Path agentBell() {
    return agentBell.path();
  }

  /**
   * Something to do after the commands before a position of their ring, and before those behind.
   */
  private record Call(long after, Runnable action) {}

  /**
   * Runs something on the owner thread, after all commands that are in the ring already and before
   * those that come later.
   */
  void later(Runnable action) {
    calls.add(new Call(commandsTail(), action));
    agentBell.ring();
  }

  private synchronized long commandsTail() {
    return over ? 0 : (long) WORD.getAcquire(shared, COMMANDS_TAIL);
  }

  /** Tells the client; on the owner thread. */
  synchronized void publish(
      int kind, long channel, long step, long first, long second, long third) {
    if (over) {
      return;
    }
    if (!waiting.isEmpty() || full()) {
      waiting.add(new long[] {kind, channel, step, first, second, third});
      WORD.setRelease(shared, EVENTS_WAIT, 1L);
      // Room may have been made, by a client that did not see the word.
      moveWaiting();
    } else {
      write(kind, channel, step, first, second, third);
      VarHandle.fullFence();
      if (kind == SENT && (long) WORD.getAcquire(shared, SETS_WANTED) == 0) {
        return;
      }
    }
    ringIfAsleep();
  }

  private boolean full() {
    long unread = eventsTail - (long) WORD.getAcquire(shared, EVENTS_HEAD);
    if (unread < 0 || unread > RECORDS) {
      broken = true;
      return true;
    }
    return unread == RECORDS;
  }

  private void write(long kind, long channel, long step, long first, long second, long third) {
    long at = EVENTS + (eventsTail & (RECORDS - 1)) * RECORD_BYTES;
    shared.set(JAVA_LONG, at, kind);
    shared.set(JAVA_LONG, at + 8, channel);
    shared.set(JAVA_LONG, at + 16, step);
    shared.set(JAVA_LONG, at + 24, first);
    shared.set(JAVA_LONG, at + 32, second);
    shared.set(JAVA_LONG, at + 40, third);
    eventsTail++;
    WORD.setRelease(shared, EVENTS_TAIL, eventsTail);
  }

  private void moveWaiting() {
    VarHandle.fullFence();
    while (!waiting.isEmpty() && !full()) {
      long[] event = waiting.remove();
      write(event[0], event[1], event[2], event[3], event[4], event[5]);
    }
    if (waiting.isEmpty()) {
      WORD.setRelease(shared, EVENTS_WAIT, 0L);
    }
  }

  private void ringIfAsleep() {
    VarHandle.fullFence();
    if ((long) WORD.getAcquire(shared, CLIENT_SLEEPS) != 0) {
      WORD.setRelease(shared, CLIENT_SLEEPS, 0L);
      clientBell.ring();
    }
  }

  /** Events that the client has not taken. */
  synchronized long untaken() {
    if (over) {
      return 0;
    }
    long unread = eventsTail - (long) WORD.getAcquire(shared, EVENTS_HEAD);
    return (long) waiting.size() + Math.clamp(unread, 0, RECORDS);
  }

  @Override
  public int drain() {
    if (closing) {
      end();
      return 1;
    }
    if (broken) {
      handler.broken("it wrote positions into its ring that cannot be");
      return 1;
    }
    Call call = calls.poll();
    int taken = takeCommands(call == null ? Long.MAX_VALUE : call.after);
    if (!waiting.isEmpty()) {
      synchronized (this) {
        int before = waiting.size();
        moveWaiting();
        if (waiting.size() < before) {
          ringIfAsleep();
        }
      }
    }
    if (call != null) {
      call.action.run();
      taken++;
    }
    return taken;
  }

  private int takeCommands(long until) {
    long count = (long) WORD.getAcquire(shared, COMMANDS_TAIL) - commandsHead;
    if (count < 0 || count > RECORDS) {
      broken = true;
      return 1;
    }
    for (long left = count; left > 0 && commandsHead < until && !closing; left--) {
      long at = COMMANDS + (commandsHead & (RECORDS - 1)) * RECORD_BYTES;
      long kind = shared.get(JAVA_LONG, at);
      long channel = shared.get(JAVA_LONG, at + 8);
      long number = shared.get(JAVA_LONG, at + 16);
      long set = shared.get(JAVA_LONG, at + 24);
      commandsHead++;
      WORD.setRelease(shared, COMMANDS_HEAD, commandsHead);
      handler.command(kind, channel, number, set);
    }
    return (int) count;
  }

  @Override
  public boolean sleep() {
    if (over) {
      return true;
    }
    WORD.setRelease(shared, AGENT_SLEEPS, 1L);
    VarHandle.fullFence();
    return !closing
        && !broken
        && calls.isEmpty()
        && (long) WORD.getAcquire(shared, COMMANDS_TAIL) == commandsHead;
  }

  @Override
  public void wake() {
    if (!over) {
      WORD.setRelease(shared, AGENT_SLEEPS, 0L);
    }
  }

  @Override
  public boolean over() {
    return over;
  }

  /** Ends it; the owner thread lets go of the memory. */
  void close() {
    closing = true;
    agentBell.ring();
  }

  private synchronized void end() {
    if (over) {
      return;
    }
    over = true;
    WORD.setRelease(shared, OVER, 1L);
    clientBell.ring();
    clientBell.close();
    memory.close();
    try {
      Files.deleteIfExists(path);
    } catch (IOException e) {
      // The directory may be gone already.
    }
  }
}
