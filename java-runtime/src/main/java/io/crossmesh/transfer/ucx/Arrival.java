package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.WireHeader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.openucx.jucx.ucp.UcpAmData;

/**
 * A message as UCX presents it.
 *
 * @param message which active message
 * @param header of the engine
 * @param bytes of the payload
 * @param payload what has come with the header; empty for a rendezvous
 * @param handle by which a payload that waits at the sender is fetched or released; 0 if it does
 *     not
 */
record Arrival(int message, MemorySegment header, long bytes, MemorySegment payload, long handle) {
  /** Valid only while UCX's callback runs. */
  static Arrival of(int message, MemorySegment framed, UcpAmData data) {
    long bytes = data.getLength();
    boolean here = bytes > 0 && data.isDataValid();
    return new Arrival(
        message,
        framed.asSlice(0, WireHeader.BYTES),
        bytes,
        here
            ? MemorySegment.ofAddress(data.getDataAddress()).reinterpret(bytes)
            : MemorySegment.NULL,
        here || bytes == 0 ? 0 : data.getDataHandle());
  }

  boolean rendezvous() {
    return handle != 0;
  }

  /** The same in memory of its own, to be kept after the callback. */
  Arrival kept() {
    MemorySegment ownHeader = MemorySegment.ofArray(new long[WireHeader.BYTES / 8]);
    ownHeader.copyFrom(header);
    MemorySegment ownPayload = MemorySegment.ofArray(payload.toArray(ValueLayout.JAVA_BYTE));
    return new Arrival(message, ownHeader, bytes, ownPayload, handle);
  }
}
