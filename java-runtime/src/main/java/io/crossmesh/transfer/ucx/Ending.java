package io.crossmesh.transfer.ucx;

/** Something that is on its way out and must be looked at until it is gone. */
interface Ending {
  /**
   * How long UCX may take to end what was posted to an endpoint that was closed by force. With a
   * peer that died in shared memory it never does: its queue stays full. Whatever that peer had
   * written is here by then.
   */
  long GRACE_NANOS = 200_000_000L;

  /** Goes on; true when nothing is left. */
  boolean over(long nowNanos);
}
