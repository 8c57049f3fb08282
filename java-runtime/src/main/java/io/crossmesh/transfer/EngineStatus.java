package io.crossmesh.transfer;

import java.util.List;

/**
 * A reading of the engine.
 *
 * @param droppedMessages messages refused: garbage, strangers, dead steps, duplicates
 * @param damagedChunks chunks that arrived damaged and were asked for again
 */
public record EngineStatus(
    String host,
    long epoch,
    List<Peer> peers,
    List<Channel> channels,
    Counters.Traffic traffic,
    long arenaUsedBytes,
    long arenaBudgetBytes,
    long droppedMessages,
    long damagedChunks) {
  public EngineStatus {
    peers = List.copyOf(peers);
    channels = List.copyOf(channels);
  }

  /**
   * A peer.
   *
   * @param connected false after it was lost
   * @param answered whether its messages arrive here
   * @param loss why it was lost last, unless it has answered since; else empty
   */
  public record Peer(
      String host,
      long epoch,
      boolean connected,
      boolean answered,
      String loss,
      Counters.Traffic traffic) {}

  /**
   * A channel or an opening of one.
   *
   * @param state "claimed" (waiting for the other parties), "opening", "open" or "closing"
   * @param liveSteps steps known and not over here
   * @param receiptsOut received sets that processes of this host hold
   * @param bulkBytesSent tensor bytes of this channel that left this host
   * @param bulkBytesReceived tensor bytes of this channel that reached this host
   */
  public record Channel(
      String name,
      long id,
      String state,
      int liveSteps,
      int receiptsOut,
      long bulkBytesSent,
      long bulkBytesReceived) {
    /** An opening that waits for the other parties. */
    static Channel claimed(String name) {
      return new Channel(name, 0, "claimed", 0, 0, 0, 0);
    }
  }
}
