package io.crossmesh.transfer.ucx;

import org.jspecify.annotations.Nullable;
import org.openucx.jucx.UcxCallback;

/**
 * Something that UCX was asked for and has not ended. It is its own place in {@link Operations},
 * and serves again when UCX has said how it ended, so that a message allocates nothing of ours. UCX
 * may still come back to one that was given up; such a one is left to the collector.
 */
abstract class Operation<T extends Operation<T>> extends UcxCallback {
  @Nullable T previous;
  @Nullable T next;
}
