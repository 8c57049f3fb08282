package io.crossmesh.flight;

/**
 * How much of an agent's Flight door one client may take at a time. Both are far above what a
 * client needs, and far below what would keep others out.
 *
 * @param calls calls that have not ended
 * @param bytes bytes that those calls hold in the agent: tiles on their way in, buffers of slices
 *     on their way out. One call alone may hold more, or large tiles could never be put
 */
public record Quotas(int calls, long bytes) {
  public static final String CALLS_DEFAULT = "256";
  public static final String BYTES_DEFAULT = "1GiB";

  public Quotas {
    if (calls < 1 || bytes < 1) {
      throw new IllegalArgumentException("a quota of nothing lets nobody in");
    }
  }
}
