package io.crossmesh.transfer;

import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Payload bytes and messages of a transport, in total and for each peer. Written and read by the
 * owner thread; {@link #total()} and {@link #peers()} are copies that may go anywhere.
 */
public final class Counters {
  private final Cell total = new Cell();
  private final SortedMap<Integer, Cell> peers = new TreeMap<>();

  /** Counts a message that has left. */
  public void sent(int peer, boolean bulk, long payloadBytes) {
    total.sent(bulk, payloadBytes);
    peers.computeIfAbsent(peer, p -> new Cell()).sent(bulk, payloadBytes);
  }

  /** Counts a message that has arrived from a sender the transport cannot name. */
  public void received(boolean bulk, long payloadBytes) {
    total.received(bulk, payloadBytes);
  }

  /** Counts a message that has arrived. */
  public void received(int peer, boolean bulk, long payloadBytes) {
    total.received(bulk, payloadBytes);
    peers.computeIfAbsent(peer, p -> new Cell()).received(bulk, payloadBytes);
  }

  /** All peers together. */
  public Traffic total() {
    return total.traffic();
  }

  /** By peer number, where the transport knows it. */
  public SortedMap<Integer, Traffic> peers() {
    SortedMap<Integer, Traffic> copy = new TreeMap<>();
    peers.forEach((peer, cell) -> copy.put(peer, cell.traffic()));
    return copy;
  }

  /** A reading. Bytes are payload bytes; headers are not counted. */
  public record Traffic(
      long bulkBytesSent,
      long bulkMessagesSent,
      long bulkBytesReceived,
      long bulkMessagesReceived,
      long controlBytesSent,
      long controlMessagesSent,
      long controlBytesReceived,
      long controlMessagesReceived) {
    /** Nothing yet. */
    public static final Traffic NONE = new Traffic(0, 0, 0, 0, 0, 0, 0, 0);
  }

  private static final class Cell {
    private long bulkBytesSent;
    private long bulkMessagesSent;
    private long bulkBytesReceived;
    private long bulkMessagesReceived;
    private long controlBytesSent;
    private long controlMessagesSent;
    private long controlBytesReceived;
    private long controlMessagesReceived;

    void sent(boolean bulk, long bytes) {
      if (bulk) {
        bulkBytesSent += bytes;
        bulkMessagesSent++;
      } else {
        controlBytesSent += bytes;
        controlMessagesSent++;
      }
    }

    void received(boolean bulk, long bytes) {
      if (bulk) {
        bulkBytesReceived += bytes;
        bulkMessagesReceived++;
      } else {
        controlBytesReceived += bytes;
        controlMessagesReceived++;
      }
    }

    Traffic traffic() {
      return new Traffic(
          bulkBytesSent,
          bulkMessagesSent,
          bulkBytesReceived,
          bulkMessagesReceived,
          controlBytesSent,
          controlMessagesSent,
          controlBytesReceived,
          controlMessagesReceived);
    }
  }
}
