package io.crossmesh.transfer.ucx;

import io.crossmesh.transfer.WireHeader;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.openucx.jucx.ucp.UcpAmData;

/** A message as UCX presents it. One serves all callbacks; what outlives its callback is a copy. */
final class Arrival {
  private static final MemorySegment ALL = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private final MemorySegment framed;
  private final MemorySegment header;
  private int message;
  private long bytes;
  private MemorySegment payload = MemorySegment.NULL;
  private long handle;

  /**
   * @param framed memory of its own, of {@link Frame#BYTES}
   */
  Arrival(MemorySegment framed) {
    this.framed = framed;
    this.header = framed.asSlice(0, WireHeader.BYTES);
  }

  /** Takes what UCX calls back with; the payload is valid only while its callback runs. */
  void take(int ofMessage, long headerAddress, UcpAmData data) {
    MemorySegment.copy(ALL, headerAddress, framed, 0, Frame.BYTES);
    message = ofMessage;
    bytes = data.getLength();
    boolean here = bytes > 0 && data.isDataValid();
    payload = here ? ALL.asSlice(data.getDataAddress(), bytes) : MemorySegment.NULL;
    handle = here || bytes == 0 ? 0 : data.getDataHandle();
  }

  /** The number of the link that it came by. */
  long link() {
    return Frame.link(framed);
  }

  /** Its position on the link. */
  long sequence() {
    return Frame.sequence(framed);
  }

  /** Which active message. */
  int message() {
    return message;
  }

  /** Of the engine. */
  MemorySegment header() {
    return header;
  }

  /** Bytes of the payload. */
  long bytes() {
    return bytes;
  }

  /** What has come with the header; empty for a rendezvous. */
  MemorySegment payload() {
    return payload;
  }

  /** By which a payload that waits at the sender is fetched or released; 0 if it does not. */
  long handle() {
    return handle;
  }

  boolean rendezvous() {
    return handle != 0;
  }

  /** The same in memory of its own, to be kept after the callback. */
  Arrival kept() {
    Arrival copy = new Arrival(MemorySegment.ofArray(new long[Frame.BYTES / Long.BYTES]));
    copy.framed.copyFrom(framed);
    copy.message = message;
    copy.bytes = bytes;
    copy.payload = MemorySegment.ofArray(payload.toArray(ValueLayout.JAVA_BYTE));
    copy.handle = handle;
    return copy;
  }
}
