package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.Transport.Landing;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.openucx.jucx.ucp.UcpRequest;

/**
 * One payload that waits at its sender and comes when its landing has memory for it; its end is
 * told exactly once.
 */
final class ReceiveOperation extends Operation<ReceiveOperation> implements Runnable {
  private final Receiver receiver;
  private @Nullable Landing landing;
  private @Nullable Inbound inbound;
  private long handle;
  private long bytes;

  /** Held so that the memory stays mapped while UCX writes into it. */
  private @Nullable MemorySegment segment;

  private boolean posting;
  private boolean ended;
  private boolean again;

  ReceiveOperation(Receiver receiver) {
    this.receiver = receiver;
  }

  /** Makes it the payload of an arrival. */
  void begin(Landing place, Arrival arrival, Inbound by) {
    landing = place;
    inbound = by;
    handle = arrival.handle();
    bytes = arrival.bytes();
    segment = null;
    ended = false;
    again = false;
  }

  Inbound inbound() {
    return Objects.requireNonNull(inbound);
  }

  long bytes() {
    return bytes;
  }

  /** Has the payload fetched. */
  @Override
  public void run() {
    if (ended) {
      return;
    }
    MemorySegment place = Objects.requireNonNull(landing).segment();
    segment = place;
    posting = true;
    try {
      UcxWorker ucx = receiver.worker();
      ucx.worker().recvAmDataNonBlocking(handle, place.address(), bytes, this, ucx.hostMemory);
    } catch (RuntimeException e) {
      again = false;
      end(String.valueOf(e.getMessage()));
    } finally {
      posting = false;
    }
    reuse();
  }

  @Override
  public void onSuccess(UcpRequest request) {
    endByUcx(null);
  }

  @Override
  public void onError(int status, String message) {
    endByUcx(message);
  }

  private void endByUcx(@Nullable String reason) {
    if (!ended) {
      again = true;
      end(reason);
      reuse();
    }
  }

  /**
   * Ends it if UCX has not. Whoever was to run it when there is memory may still do so, which does
   * nothing, or UCX may end it: it does not serve again.
   */
  void end(@Nullable String reason) {
    if (!ended) {
      ended = true;
      if (segment == null) {
        receiver.release(handle);
      }
      receiver.ended(this, Objects.requireNonNull(landing), reason);
    }
  }

  private void reuse() {
    if (again && !posting) {
      again = false;
      landing = null;
      inbound = null;
      segment = null;
      receiver.reuse(this);
    }
  }
}
