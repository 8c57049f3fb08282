package io.crossmesh.transfer.ucx;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;

/**
 * Sends that wait to be used, each with native memory for its header: UCX may read a header until
 * its send is done, the caller's copy is gone before. Grows to the most sends ever under way at
 * once.
 */
final class SendPool {
  private static final int SENDS_PER_SLAB = 64;

  private final UcxWorker ucx;
  private final Arena memory;
  private final ArrayDeque<SendOperation> free = new ArrayDeque<>(SENDS_PER_SLAB);

  SendPool(UcxWorker ucx, Arena memory) {
    this.ucx = ucx;
    this.memory = memory;
  }

  SendOperation take() {
    if (free.isEmpty()) {
      MemorySegment slab = memory.allocate((long) SENDS_PER_SLAB * Frame.BYTES, 64);
      for (int i = 0; i < SENDS_PER_SLAB; i++) {
        free.push(new SendOperation(ucx, slab.asSlice((long) i * Frame.BYTES, Frame.BYTES)));
      }
    }
    return free.pop();
  }

  void give(SendOperation send) {
    free.push(send);
  }
}
