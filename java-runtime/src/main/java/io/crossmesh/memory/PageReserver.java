package io.crossmesh.memory;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;

/**
 * Gives a range of a sparse, mapped file its pages for good. Without it the first store into a page
 * that the file system cannot back ends every process that has the file mapped with SIGBUS.
 */
interface PageReserver extends AutoCloseable {
  /**
   * Reserves [{@code offset}, {@code offset + length}) of the file; its content stays zero.
   *
   * @throws IOException if the file system has no room for it or fails in another way
   */
  void reserve(long offset, long length) throws IOException;

  @Override
  void close();

  /**
   * The way of systems without {@code posix_fallocate}: writes zeros through the file, never
   * through the mapping, so that a full file system is an error of {@code write} instead of a
   * signal.
   */
  static PageReserver writingZeros(FileChannel channel) {
    return new PageReserver() {
      private final ByteBuffer zeros = ByteBuffer.allocateDirect(1 << 16);

      @Override
      public void reserve(long offset, long length) throws IOException {
        long end = offset + length;
        for (long at = offset; at < end; ) {
          zeros.clear().limit((int) Math.min(zeros.capacity(), end - at));
          at += channel.write(zeros, at);
        }
      }

      @Override
      public void close() {}
    };
  }
}
