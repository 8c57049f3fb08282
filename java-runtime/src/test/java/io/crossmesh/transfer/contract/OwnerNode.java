package io.crossmesh.transfer.contract;

import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport;
import io.crossmesh.transfer.Transport.Handler;
import io.crossmesh.transfer.Transport.Landing;
import io.crossmesh.transfer.Transport.SendDone;
import io.crossmesh.transfer.WireHeader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.BooleanSupplier;

/**
 * A {@link Transport} on an owner thread of its own, and what happened to it: the smallest thing
 * that stands where the engine will. Received payloads are checked against {@link Pattern}.
 */
public final class OwnerNode implements Handler, AutoCloseable {
  /** What one sender's messages came to. */
  public record Heard(long messages, long bytes, long failed) {}

  public final Transport transport;
  private final long name;
  private final ConcurrentLinkedQueue<Runnable> tasks = new ConcurrentLinkedQueue<>();
  private final Thread thread;
  private final Arena arena = Arena.ofShared();
  private final List<Runnable> held = new ArrayList<>();
  private boolean holding;
  private final Map<Long, Long> lastSequences = new HashMap<>();
  private final Map<Long, Long> connections = new HashMap<>();
  private final Map<Long, Heard> heard = new HashMap<>();
  private final Map<Integer, String> lost = new HashMap<>();
  private final List<String> errors = new ArrayList<>();
  private long landing;
  private long sequence;
  private volatile boolean stopping;

  /** Starts a transport on which nothing was called yet. */
  public OwnerNode(long name, Transport transport) throws Exception {
    this.name = name;
    this.transport = transport;
    this.thread = Thread.ofPlatform().name("node-" + name).daemon().unstarted(this::loop);
    CompletableFuture<Void> started =
        later(
            () -> {
              transport.start(this);
              return null;
            });
    thread.start();
    started.get(20, TimeUnit.SECONDS);
  }

  private void loop() {
    while (!stopping) {
      int work = 0;
      for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
        task.run();
        work++;
      }
      try {
        work += transport.progress();
      } catch (RuntimeException e) {
        error("progress: " + e.getMessage());
      }
      if (work == 0) {
        transport.awaitEvent(1_000_000_000L);
      }
    }
    transport.close();
  }

  public <T> CompletableFuture<T> later(Callable<T> task) {
    CompletableFuture<T> result = new CompletableFuture<>();
    tasks.add(
        () -> {
          try {
            result.complete(task.call());
          } catch (Throwable e) {
            result.completeExceptionally(e);
          }
        });
    transport.wakeup();
    return result;
  }

  public <T> T call(Callable<T> task) throws Exception {
    return later(task).get(60, TimeUnit.SECONDS);
  }

  public void connect(int peer, String address) throws Exception {
    act(() -> transport.connect(peer, address));
  }

  public void disconnect(int peer) throws Exception {
    act(() -> transport.disconnect(peer));
  }

  public void abandon(int peer) throws Exception {
    act(() -> transport.abandon(peer));
  }

  /** Ends the connection by which a sender's last message came. */
  public void sever(long sender) throws Exception {
    act(() -> transport.sever(Objects.requireNonNull(connections.get(sender))));
  }

  /** Sends to a peer by the connection by which a sender's last message came. */
  public void answerBy(int peer, long sender) throws Exception {
    act(() -> transport.answerBy(peer, Objects.requireNonNull(connections.get(sender))));
  }

  private void act(Runnable action) throws Exception {
    call(
        () -> {
          action.run();
          return null;
        });
  }

  public Counters.Traffic traffic() throws Exception {
    return call(() -> transport.counters().total());
  }

  /** Sends {@code count} messages of {@code bytes} each, at most {@code window} at once. */
  public Flood send(int peer, long count, long bytes, int window, boolean discard) {
    Flood flood = new Flood(this, peer, count, bytes, window, discard);
    var _ =
        later(
            () -> {
              flood.pump();
              return null;
            });
    return flood;
  }

  long name() {
    return name;
  }

  /** Sends a message without payload in the name of another node. */
  public void forge(int peer, long otherName) throws Exception {
    call(
        () -> {
          MemorySegment header = arena.allocate(WireHeader.BYTES, 8);
          Pattern.writeHeader(header, otherName, 0, false);
          transport.send(peer, header, MemorySegment.NULL, false, new Ignored());
          return null;
        });
  }

  private static final class Ignored implements SendDone {
    @Override
    public void sent() {
      // not waited for
    }

    @Override
    public void failed(String reason) {
      // not waited for
    }
  }

  long nextSequence() {
    return sequence++;
  }

  /** Memory that is there as long as this node. */
  Arena memory() {
    return arena;
  }

  /** From now on payloads that wait at their sender are left there. */
  public synchronized void hold() {
    holding = true;
  }

  /** How many are left there. */
  public synchronized int held() {
    return held.size();
  }

  /** Has them fetched. */
  public void fetchHeld() throws Exception {
    call(
        () -> {
          List<Runnable> all;
          synchronized (this) {
            holding = false;
            all = List.copyOf(held);
            held.clear();
          }
          all.forEach(Runnable::run);
          return all.size();
        });
  }

  @Override
  public Landing onMessage(long connection, MemorySegment header, long payloadBytes) {
    long sender = Pattern.sender(header);
    long number = Pattern.sequence(header);
    connections.put(sender, connection);
    Long before = lastSequences.put(sender, number);
    if (before != null && before >= number) {
      error("message " + number + " of " + sender + " came after " + before);
    }
    if (Pattern.discard(header)) {
      hear(sender, payloadBytes, false);
      return Landing.DISCARD;
    }
    if (payloadBytes == 0) {
      hear(sender, 0, false);
      return Landing.DISCARD;
    }
    return new Checked(sender, number, payloadBytes);
  }

  /** Checks a payload when it has landed, and gives its memory back. */
  private final class Checked implements Landing {
    private final Arena memory = Arena.ofShared();
    private final MemorySegment segment;
    private final long sender;
    private final long number;
    private boolean told;

    Checked(long sender, long number, long bytes) {
      this.sender = sender;
      this.number = number;
      this.segment = memory.allocate(bytes, 64);
      synchronized (OwnerNode.this) {
        landing++;
      }
    }

    @Override
    public boolean ready(Runnable fetch) {
      synchronized (OwnerNode.this) {
        if (holding) {
          held.add(fetch);
          OwnerNode.this.notifyAll();
        }
        return !holding;
      }
    }

    @Override
    public void arrived(MemorySegment payload) {
      segment().copyFrom(payload);
      landed();
    }

    @Override
    public MemorySegment segment() {
      return segment;
    }

    @Override
    public boolean bulk() {
      return true;
    }

    @Override
    public void landed() {
      long wrong = Pattern.firstWrong(segment, sender, number);
      if (wrong >= 0) {
        error("byte " + wrong + " of message " + number + " of " + sender + " is wrong");
      }
      end(false);
    }

    @Override
    public void failed(String reason) {
      end(true);
    }

    private void end(boolean failure) {
      if (told) {
        error("a landing ended twice");
        return;
      }
      told = true;
      synchronized (OwnerNode.this) {
        landing--;
      }
      hear(sender, segment.byteSize(), failure);
      memory.close();
    }
  }

  @Override
  public synchronized void onPeerLost(int peer, String reason) {
    if (lost.put(peer, reason) != null) {
      errors.add("peer " + peer + " was lost twice");
    }
    notifyAll();
  }

  private synchronized void hear(long sender, long bytes, boolean failure) {
    Heard before = heard.getOrDefault(sender, new Heard(0, 0, 0));
    heard.put(
        sender,
        failure
            ? new Heard(before.messages, before.bytes, before.failed + 1)
            : new Heard(before.messages + 1, before.bytes + bytes, before.failed));
    notifyAll();
  }

  synchronized void error(String text) {
    errors.add(text);
    notifyAll();
  }

  public synchronized Heard heard(long sender) {
    return heard.getOrDefault(sender, new Heard(0, 0, 0));
  }

  public synchronized Map<Integer, String> lost() {
    return Map.copyOf(lost);
  }

  public synchronized List<String> errors() {
    return List.copyOf(errors);
  }

  public synchronized long landing() {
    return landing;
  }

  /** Waits until something that this node records has become true. */
  public synchronized void await(String what, long limitMillis, BooleanSupplier condition)
      throws Exception {
    long end = System.nanoTime() + limitMillis * 1_000_000L;
    while (!condition.getAsBoolean()) {
      long left = (end - System.nanoTime()) / 1_000_000L;
      if (left <= 0) {
        throw new TimeoutException(
            "waited %d ms for %s; heard %s, lost %s, errors %s"
                .formatted(limitMillis, what, heard, lost, errors));
      }
      wait(left);
    }
  }

  @Override
  public void close() {
    var _ = later(() -> stopping = true);
    try {
      thread.join(20_000);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    if (thread.isAlive()) {
      throw new IllegalStateException("node " + name + " does not end");
    }
    if (arena.scope().isAlive()) {
      arena.close();
    }
  }
}
