package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;
import java.util.zip.CRC32C;

/** CRC32C of the payloads of chunks; one instance is used again and again by one thread. */
final class Checksums {
  /** Of a chunk that is sent without a checksum; no checksum is negative. */
  static final long NONE = -1;

  private final CRC32C crc = new CRC32C();

  /** The checksum of native memory of less than 2 GiB. */
  long of(MemorySegment payload) {
    crc.reset();
    crc.update(payload.asByteBuffer());
    return crc.getValue();
  }
}
