package io.crossmesh.plan;

/**
 * What the planner settled on for one tensor.
 *
 * @param strategy never {@link Strategy#AUTO}
 * @param chunkBytes size of a chunk in bytes; moves smaller than this are one chunk
 */
public record Chosen(Strategy strategy, long chunkBytes) {
  /** Smallest and largest chunk that the planner chooses, in bytes. */
  public static final long MIN_CHUNK_BYTES = 64 << 10;

  public static final long MAX_CHUNK_BYTES = 4 << 20;

  public Chosen {
    if (strategy == Strategy.AUTO) {
      throw new IllegalArgumentException("auto is a request, not a choice");
    }
    if (chunkBytes < MIN_CHUNK_BYTES || chunkBytes > MAX_CHUNK_BYTES) {
      throw new IllegalArgumentException("chunks of " + chunkBytes + " bytes");
    }
  }
}
