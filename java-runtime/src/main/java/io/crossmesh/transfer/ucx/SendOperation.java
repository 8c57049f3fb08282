package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.Transport.SendDone;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;
import org.openucx.jucx.UcxCallback;
import org.openucx.jucx.ucp.UcpEndpoint;
import org.openucx.jucx.ucp.UcpRequest;

/**
 * One send from its post to its end, which is told exactly once: a post that fails at once both
 * throws and calls back, and one that UCX never ends is given up when the transport closes. Keeps
 * header and payload reachable meanwhile.
 */
final class SendOperation extends UcxCallback implements Runnable {
  private final Link link;
  private final int message;
  private final MemorySegment header;
  private final MemorySegment payload;
  private final boolean bulk;
  private final SendDone done;
  private boolean posting;
  private boolean ended;
  private @Nullable String failure;

  SendOperation(
      Link link,
      int message,
      MemorySegment header,
      MemorySegment payload,
      boolean bulk,
      SendDone done) {
    this.link = link;
    this.message = message;
    this.header = header;
    this.payload = payload;
    this.bulk = bulk;
    this.done = done;
  }

  /** Hands it to UCX. */
  void post(UcpEndpoint endpoint, long flags) {
    UcxWorker ucx = link.worker();
    long bytes = payload.byteSize();
    posting = true;
    try {
      endpoint.sendAmNonBlocking(
          message,
          header.address(),
          header.byteSize(),
          bytes == 0 ? 0 : payload.address(),
          bytes,
          flags,
          this,
          ucx.hostMemory);
    } catch (RuntimeException e) {
      end(String.valueOf(e.getMessage()));
    } finally {
      posting = false;
    }
  }

  /** Has it carry another number of its link. */
  void label(long link) {
    HeaderPool.label(header, link);
  }

  /** Whether it is one that waits until its link is let in. */
  boolean waits() {
    return message == Receiver.MESSAGE || message == Receiver.GOODBYE;
  }

  int message() {
    return message;
  }

  long bytes() {
    return payload.byteSize();
  }

  @Override
  public void onSuccess(UcpRequest request) {
    end(null);
  }

  @Override
  public void onError(int status, String message) {
    end(message);
  }

  /** Ends it as failed if UCX has not ended it; UCX's own word is ignored from then on. */
  void abandon(String reason) {
    end(reason);
  }

  private void end(@Nullable String reason) {
    if (ended) {
      return;
    }
    ended = true;
    failure = reason;
    if (posting) {
      link.worker().deferred.later(this);
    } else {
      link.worker().deferred.guarded(this);
    }
  }

  /** Tells the end. */
  @Override
  public void run() {
    String reason = failure;
    link.ended(this, header, reason);
    if (reason == null) {
      if (message == Receiver.MESSAGE) {
        link.countSent(bulk, payload.byteSize());
      }
      done.sent();
    } else {
      done.failed(reason);
    }
  }
}
