package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.Transport.SendDone;
import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.openucx.jucx.ucp.UcpEndpoint;
import org.openucx.jucx.ucp.UcpRequest;

/**
 * One send from its post to its end, which is told exactly once: a post that fails at once both
 * throws and calls back, and one that UCX never ends is given up when the transport closes. Keeps
 * header and payload reachable meanwhile.
 */
final class SendOperation extends Operation<SendOperation> implements Runnable {
  private final UcxWorker ucx;
  private final MemorySegment header;
  private @Nullable Link link;
  private @Nullable SendDone done;
  private MemorySegment payload = MemorySegment.NULL;
  private int message;
  private boolean bulk;
  private boolean posting;
  private boolean ended;
  private boolean again;
  private @Nullable String failure;

  /**
   * @param header native memory of {@link Frame#BYTES}, its own
   */
  SendOperation(UcxWorker ucx, MemorySegment header) {
    this.ucx = ucx;
    this.header = header;
  }

  /** Makes it a message that is to be posted; the header is copied. */
  void begin(
      Link ofLink,
      int ofMessage,
      MemorySegment engineHeader,
      long label,
      long sequence,
      MemorySegment ofPayload,
      boolean isBulk,
      SendDone whenDone) {
    Frame.write(header, engineHeader, label, sequence);
    link = ofLink;
    message = ofMessage;
    payload = ofPayload;
    bulk = isBulk;
    done = whenDone;
    failure = null;
    ended = false;
    again = false;
  }

  /** Hands it to UCX. */
  void post(UcpEndpoint endpoint, long flags) {
    ucx.checkOwner();
    long bytes = payload.byteSize();
    posting = true;
    try {
      endpoint.sendAmNonBlocking(
          message,
          header.address(),
          Frame.BYTES,
          bytes == 0 ? 0 : payload.address(),
          bytes,
          flags,
          this,
          ucx.hostMemory);
    } catch (RuntimeException e) {
      again = false;
      end(String.valueOf(e.getMessage()));
    } finally {
      posting = false;
    }
  }

  /** Has it carry another number of its link. */
  void label(long ofLink) {
    Frame.label(header, ofLink);
  }

  /** Whether it is one that waits until its link is let in. */
  boolean waits() {
    return message == Receiver.MESSAGE || message == Receiver.GOODBYE;
  }

  boolean ended() {
    return ended;
  }

  int message() {
    return message;
  }

  long bytes() {
    return payload.byteSize();
  }

  @Override
  public void onSuccess(UcpRequest request) {
    endByUcx(null);
  }

  @Override
  public void onError(int status, String text) {
    endByUcx(text);
  }

  private void endByUcx(@Nullable String reason) {
    if (!ended) {
      again = true;
      end(reason);
    }
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
      ucx.deferred.later(this);
    } else {
      ucx.deferred.guarded(this);
    }
  }

  /** Tells the end, and serves again if it may. */
  @Override
  public void run() {
    String reason = failure;
    SendDone told = Objects.requireNonNull(done);
    Objects.requireNonNull(link).ended(this, reason);
    link = null;
    done = null;
    payload = MemorySegment.NULL;
    if (again) {
      ucx.sends.give(this);
    }
    if (reason == null) {
      told.sent();
    } else {
      told.failed(reason);
    }
  }

  /** Whether it counts as tensor bytes. */
  boolean bulk() {
    return bulk;
  }
}
