package io.crossmesh.transfer.ucx;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.transfer.WireHeader;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.openucx.jucx.UcxException;
import org.openucx.jucx.ucp.UcpContext;
import org.openucx.jucx.ucp.UcpEndpoint;
import org.openucx.jucx.ucp.UcpParams;
import org.openucx.jucx.ucp.UcpRequest;
import org.openucx.jucx.ucp.UcpRequestParams;
import org.openucx.jucx.ucp.UcpWorker;
import org.openucx.jucx.ucp.UcpWorkerParams;
import org.openucx.jucx.ucs.UcsConstants;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The UCX context and worker of a transport, and what everything that uses them shares. */
final class UcxWorker {
  private static final Logger log = LoggerFactory.getLogger(UcxWorker.class);

  /**
   * Without a choice of its own UCX would use shared memory between the network namespaces of one
   * machine, where it does not work well.
   */
  private static final String DEFAULT_TRANSPORTS = "tcp,sm,self";

  /**
   * How rendezvous payloads cross TCP: the receiver's address goes to the sender, which writes
   * there. Left to itself, UCX 1.20 copies them through small fragments at a quarter of that speed.
   * Shared memory is the faster one by its own choice, and the setting holds for all transports of
   * a worker; so it is made only where TCP is alone.
   */
  private static final String TCP_RENDEZVOUS = "put_zcopy";

  /** The longest sleep while something is ending, whose time limit nothing else would notice. */
  private static final long ENDING_SLEEP_NANOS = 10_000_000L;

  private final UcpContext context;
  private final UcpWorker worker;

  /** The only thread that may call UCX, except for {@link #signal}. */
  private final Thread owner = Thread.currentThread();

  /** Every transfer states that its memory is the host's. */
  final UcpRequestParams hostMemory;

  final Arena memory;
  final SendPool sends;

  /** Header and payload of messages whose content nobody reads. */
  final MemorySegment empty;

  final Deferred deferred = new Deferred();

  /** Links and endpoints that are not gone yet. */
  final List<Ending> endings = new ArrayList<>();

  private final EventFd eventFd;
  private final List<UcpRequest> closings = new ArrayList<>();

  private UcxWorker(UcpContext context, UcpWorker worker, @Nullable Doorbell bell, Arena memory) {
    this.context = context;
    this.worker = worker;
    this.memory = memory;
    this.sends = new SendPool(this, memory);
    this.empty = memory.allocate(WireHeader.BYTES, 64);
    this.hostMemory =
        new UcpRequestParams().setMemoryType(UcsConstants.MEMORY_TYPE.UCS_MEMORY_TYPE_HOST);
    this.eventFd = new EventFd(worker.getEventFD(), bell, memory);
  }

  /**
   * Opens UCX on the calling thread, which owns it from then on.
   *
   * @param bell what ends its sleep too
   * @throws CrossmeshException AGENT_UNAVAILABLE if there is no usable UCX
   */
  // The memory is closed by close(), as the worker outlives this method.
  @SuppressWarnings("MustBeClosedChecker")
  static UcxWorker open(@Nullable Doorbell bell) {
    UcxLibrary.require();
    try {
      UcpParams params = new UcpParams().requestAmFeature().requestWakeupFeature();
      String transports = Objects.requireNonNullElse(System.getenv("UCX_TLS"), DEFAULT_TRANSPORTS);
      params.setConfig("TLS", transports);
      if (System.getenv("UCX_RNDV_SCHEME") == null && onlyTcp(transports)) {
        params.setConfig("RNDV_SCHEME", TCP_RENDEZVOUS);
      }
      UcpContext context = new UcpContext(params);
      try {
        return new UcxWorker(
            context, context.newWorker(new UcpWorkerParams()), bell, Arena.ofShared());
      } catch (UcxException e) {
        context.close();
        throw e;
      }
    } catch (UcxException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "UCX does not start: %s; see what `ucx_info -d` says of UCX_TLS=%s"
              .formatted(e.getMessage(), System.getenv("UCX_TLS")),
          e);
    }
  }

  private static boolean onlyTcp(String transports) {
    return Set.of("tcp", "self").containsAll(List.of(transports.strip().split("\\s*,\\s*")))
        && transports.contains("tcp");
  }

  /**
   * The worker, for the thread that opened it. UCX's workers and their endpoints belong to one
   * thread: a build of UCX with assertions aborts the process otherwise, one without corrupts it.
   */
  UcpWorker worker() {
    checkOwner();
    return worker;
  }

  /** Fails unless the calling thread may use the worker and its endpoints. */
  void checkOwner() {
    if (Thread.currentThread() != owner) {
      throw new IllegalStateException(
          "UCX belongs to thread '%s', but thread '%s' calls it"
              .formatted(owner.getName(), Thread.currentThread().getName()));
    }
  }

  /** Ends a {@link #sleep}. Any thread may call it. */
  void signal() {
    worker.signal();
  }

  /** One round of UCX and of what it left to do; 0 when nothing happened. */
  int progress() {
    checkOwner();
    int events = progressWorker() + deferred.run();
    closings.removeIf(UcpRequest::isCompleted);
    if (!endings.isEmpty()) {
      int before = endings.size();
      long now = System.nanoTime();
      endings.removeIf(ending -> ending.over(now));
      events += before - endings.size();
    }
    return events;
  }

  private int progressWorker() {
    try {
      return worker.progress();
    } catch (Exception e) {
      deferred.caught(e);
      return 1;
    }
  }

  /** Sleeps until UCX has something to do, {@code signal()} or the limit. */
  void sleep(long timeoutNanos) {
    checkOwner();
    long limit = endings.isEmpty() ? timeoutNanos : Math.min(timeoutNanos, ENDING_SLEEP_NANOS);
    try {
      worker.arm();
    } catch (UcxException busy) {
      // Events are waiting to be progressed: the normal case of a busy worker.
      return;
    }
    eventFd.await(limit);
  }

  /** Ends an endpoint after what was posted to it. */
  void closeFlushing(UcpEndpoint endpoint) {
    checkOwner();
    try {
      closings.add(endpoint.closeNonBlockingFlush());
    } catch (UcxException e) {
      log.debug("an endpoint did not close: {}", e.getMessage());
    }
  }

  /** Ends an endpoint at once; what was posted to it fails. */
  void closeForcing(UcpEndpoint endpoint) {
    checkOwner();
    try {
      closings.add(endpoint.closeNonBlockingForce());
    } catch (UcxException e) {
      log.debug("an endpoint did not close: {}", e.getMessage());
    }
  }

  /** Whether every endpoint that was closed is gone. */
  boolean quiet() {
    return closings.isEmpty() && endings.isEmpty();
  }

  /** Ends UCX; every endpoint and the listener are closed before. */
  void close() {
    checkOwner();
    worker.close();
    context.close();
    memory.close();
  }
}
