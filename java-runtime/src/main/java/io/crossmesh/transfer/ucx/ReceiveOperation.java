package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.Transport.Landing;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.openucx.jucx.UcxCallback;
import org.openucx.jucx.ucp.UcpRequest;

/** One payload on its way by rendezvous; its end is told exactly once. */
final class ReceiveOperation extends UcxCallback {
  private final Receiver receiver;
  private final Landing landing;
  private final Inbound inbound;

  /** Held so that the memory stays mapped while UCX writes into it. */
  private final MemorySegment segment;

  private boolean ended;

  ReceiveOperation(Receiver receiver, Landing landing, MemorySegment segment, Inbound inbound) {
    this.receiver = receiver;
    this.landing = landing;
    this.segment = segment;
    this.inbound = inbound;
  }

  Inbound inbound() {
    return inbound;
  }

  MemorySegment segment() {
    return segment;
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
      receiver.ended(this, landing, reason);
    }
  }
}
