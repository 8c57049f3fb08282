package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.Transport.Landing;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.openucx.jucx.UcxCallback;
import org.openucx.jucx.ucp.UcpRequest;

/**
 * One payload that waits at its sender and comes when its landing has memory for it; its end is
 * told exactly once.
 */
final class ReceiveOperation extends UcxCallback implements Runnable {
  private final Receiver receiver;
  private final Landing landing;
  private final Inbound inbound;
  private final long handle;
  private final long bytes;

  /** Held so that the memory stays mapped while UCX writes into it. */
  private @Nullable MemorySegment segment;

  private boolean ended;

  ReceiveOperation(Receiver receiver, Landing landing, Arrival arrival, Inbound inbound) {
    this.receiver = receiver;
    this.landing = landing;
    this.inbound = inbound;
    this.handle = arrival.handle();
    this.bytes = arrival.bytes();
  }

  Inbound inbound() {
    return inbound;
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
    MemorySegment place = landing.segment();
    segment = place;
    try {
      UcxWorker ucx = receiver.worker();
      ucx.worker.recvAmDataNonBlocking(handle, place.address(), bytes, this, ucx.hostMemory);
    } catch (RuntimeException e) {
      end(String.valueOf(e.getMessage()));
    }
  }

  @Override
  public void onSuccess(UcpRequest request) {
    end(null);
  }

  @Override
  public void onError(int status, String message) {
    end(message);
  }

  void end(@Nullable String reason) {
    if (!ended) {
      ended = true;
      if (segment == null) {
        receiver.release(handle);
      }
      receiver.ended(this, landing, reason);
    }
  }
}
