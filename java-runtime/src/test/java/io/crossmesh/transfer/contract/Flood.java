package io.crossmesh.transfer.contract;

import io.crossmesh.transfer.Transport.SendDone;
import io.crossmesh.transfer.WireHeader;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.CompletableFuture;

/** A row of sends that ends with the first failure; {@link #result} is how many failed. */
public final class Flood {
  public final CompletableFuture<Long> result = new CompletableFuture<>();
  private final OwnerNode node;
  private final int peer;
  private long count;
  private final int window;
  private final boolean discard;
  private final MemorySegment[] payloads;
  private final boolean[] busy;
  private final MemorySegment[] headers;
  private long posted;
  private long ended;
  private long failed;
  private boolean pumping;

  Flood(OwnerNode node, int peer, long count, long bytes, int window, boolean discard) {
    this.node = node;
    this.peer = peer;
    this.count = count;
    this.window = window;
    this.discard = discard;
    this.payloads = new MemorySegment[window];
    this.headers = new MemorySegment[window];
    this.busy = new boolean[window];
    for (int i = 0; i < window; i++) {
      payloads[i] = node.memory().allocate(Math.max(bytes, 1), 64).asSlice(0, bytes);
      headers[i] = node.memory().allocate(WireHeader.BYTES, 8);
    }
  }

  public void stop() {
    var _ =
        node.later(
            () -> {
              count = posted;
              if (ended == count) {
                result.complete(failed);
              }
              return null;
            });
  }

  void pump() {
    if (pumping) {
      return;
    }
    pumping = true;
    for (int slot = 0; slot < window && posted < count; slot++) {
      if (!busy[slot]) {
        post(slot);
      }
    }
    pumping = false;
    if (ended == count) {
      result.complete(failed);
    }
  }

  private void post(int slot) {
    busy[slot] = true;
    posted++;
    long number = node.nextSequence();
    Pattern.fill(payloads[slot], node.name(), number);
    MemorySegment header = headers[slot];
    Pattern.writeHeader(header, node.name(), number, discard);
    node.transport.send(
        peer,
        header,
        payloads[slot],
        true,
        new SendDone() {
          private boolean told;

          @Override
          public void sent() {
            end(false);
          }

          @Override
          public void failed(String reason) {
            end(true);
          }

          private void end(boolean failure) {
            if (told) {
              node.error("a send ended twice");
            }
            told = true;
            ended++;
            if (failure) {
              failed++;
              count = posted;
            }
            busy[slot] = false;
            pump();
          }
        });
  }
}
