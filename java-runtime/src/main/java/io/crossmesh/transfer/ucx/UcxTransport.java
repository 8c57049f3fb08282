package io.crossmesh.transfer.ucx;

import io.crossmesh.memory.Doorbell;
import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * {@link Transport} over UCX active messages: a listener, one outgoing endpoint for each peer and
 * whatever endpoints peers open to here. The thread that calls {@link #start} owns it.
 *
 * <p>A peer's death is noticed by its listener's connection within milliseconds, also where the
 * bytes go through shared memory. Messages of that peer that are already here may still be
 * delivered after its loss was told: incoming endpoints do not say whose they are.
 */
public final class UcxTransport implements Transport {
  /** How long endpoints may take to close after every goodbye was said. */
  private static final long CLOSE_NANOS = 1_000_000_000L;

  private final UcxOptions options;
  private final @Nullable Doorbell bell;
  private final Counters counters = new Counters();
  private final Map<Integer, Link> links = new HashMap<>();
  private final AtomicBoolean woken = new AtomicBoolean();
  private final Object signalLock = new Object();
  private volatile String address = "";
  private @Nullable Session session;
  private boolean closed;

  /** What exists from start to close. */
  private record Session(
      UcxWorker ucx, Door door, Handler handler, Receiver receiver, Acceptor acceptor) {}

  /** A transport that wakes by its own means only. */
  public UcxTransport(UcxOptions options) {
    this(options, null);
  }

  /**
   * A transport whose sleep ends as well when other processes ring a bell.
   *
   * @param bell open for as long as the transport
   */
  public UcxTransport(UcxOptions options, @Nullable Doorbell bell) {
    this.options = options;
    this.bell = bell;
  }

  /**
   * {@inheritDoc}
   *
   * @throws io.crossmesh.CrossmeshException AGENT_UNAVAILABLE if UCX is missing or cannot listen
   */
  @Override
  public void start(Handler handler) {
    if (session != null || closed) {
      throw new IllegalStateException("a transport starts once");
    }
    UcxWorker ucx = UcxWorker.open(bell);
    Door door = new Door(ucx, options);
    Receiver receiver = new Receiver(ucx, door, handler, counters);
    Session started = new Session(ucx, door, handler, receiver, new Acceptor(ucx, receiver));
    try {
      started.receiver().start();
      address = started.acceptor().listen(options.bindHost());
    } catch (RuntimeException e) {
      ucx.close();
      throw e;
    }
    synchronized (signalLock) {
      session = started;
    }
  }

  private Session started() {
    Session present = session;
    if (present == null) {
      throw new IllegalStateException("the transport is not started or closed");
    }
    return present;
  }

  /** {@inheritDoc} Any thread may ask; empty before {@link #start}. */
  @Override
  public String address() {
    return address;
  }

  @Override
  public void connect(int peer, String peerAddress) {
    Session present = started();
    if (links.containsKey(peer)) {
      throw new IllegalArgumentException("peer " + peer + " is connected already");
    }
    try {
      links.put(
          peer,
          new Link(
              peer,
              Acceptor.parse(peerAddress),
              options.eagerBytesMax(),
              present.ucx(),
              present.door(),
              present.handler(),
              counters));
    } catch (RuntimeException e) {
      String reason = "cannot connect to " + peerAddress + ": " + e.getMessage();
      present.ucx().deferred.later(() -> present.handler().onPeerLost(peer, reason));
    }
  }

  @Override
  public void disconnect(int peer) {
    Link link = links.remove(peer);
    if (link != null) {
      link.leave();
    }
  }

  @Override
  public void abandon(int peer) {
    Link link = links.remove(peer);
    if (link != null) {
      link.abandon("the peer does not answer");
    }
  }

  @Override
  public void sever(long connection) {
    started().acceptor().sever(connection);
  }

  @Override
  public void answerBy(int peer, long connection) {
    Link link = links.get(peer);
    Acceptor.Incoming incoming = started().acceptor().by(connection);
    if (link != null && incoming != null) {
      link.answerBy(incoming);
    }
  }

  @Override
  public void send(
      int peer, MemorySegment header, MemorySegment payload, boolean bulk, SendDone done) {
    Session present = started();
    Link link = links.get(peer);
    if (link == null || !link.open()) {
      present.ucx().deferred.later(() -> done.failed("peer " + peer + " is not connected"));
      return;
    }
    link.send(header, payload, bulk, done);
  }

  @Override
  public int progress() {
    Session present = session;
    if (present == null) {
      return 0;
    }
    int events = present.ucx().progress();
    present.ucx().deferred.rethrow();
    return events;
  }

  @Override
  public void awaitEvent(long timeoutNanos) {
    Session present = session;
    if (present == null || timeoutNanos <= 0 || woken.getAndSet(false)) {
      return;
    }
    if (!present.ucx().deferred.isEmpty()) {
      return;
    }
    present.ucx().sleep(timeoutNanos);
    // Cleared before the owner looks for work, so what is added from here on signals again.
    woken.set(false);
  }

  @Override
  public void wakeup() {
    if (!woken.getAndSet(true)) {
      synchronized (signalLock) {
        Session present = session;
        if (present != null) {
          present.ucx().signal();
        }
      }
    }
  }

  @Override
  public Counters counters() {
    return counters;
  }

  /**
   * Says goodbye to every peer, so that what was sent before arrives, then ends everything. Takes
   * no more messages meanwhile. A peer that does not answer delays it by three seconds at most.
   */
  @Override
  public void close() {
    closed = true;
    Session present = session;
    if (present == null) {
      return;
    }
    present.receiver().stop();
    present.acceptor().stop();
    links.values().forEach(Link::leave);
    links.clear();
    drive(present.ucx(), present.ucx().endings::isEmpty, Link.GOODBYE_NANOS + Ending.GRACE_NANOS);
    present.acceptor().closeEndpoints();
    drive(present.ucx(), present.ucx()::quiet, CLOSE_NANOS);
    present.receiver().abandonAll("the transport is closed");
    present.ucx().deferred.run();
    synchronized (signalLock) {
      session = null;
    }
    present.acceptor().closeListener();
    present.ucx().close();
    present.ucx().deferred.rethrow();
  }

  private static void drive(UcxWorker ucx, BooleanSupplier until, long limitNanos) {
    long start = System.nanoTime();
    while (!until.getAsBoolean() && System.nanoTime() - start < limitNanos) {
      if (ucx.progress() == 0) {
        ucx.sleep(1_000_000L);
      }
    }
  }
}
