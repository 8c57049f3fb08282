package io.crossmesh.fuzz;

import io.crossmesh.Code;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * Something that reads what strangers send.
 *
 * @param name for the tables
 * @param json whether inputs are JSON documents, to be damaged in their structure
 * @param valid inputs that are accepted
 * @param refusals the codes with which it may refuse
 * @param allocatedMax most bytes that reading one input may allocate, beside a multiple of its
 *     length
 * @param reader reads one input
 * @param end lets go of what the target holds
 */
public record FuzzTarget(
    String name,
    boolean json,
    List<byte[]> valid,
    Set<Code> refusals,
    long allocatedMax,
    Reader reader,
    Runnable end)
    implements AutoCloseable {
  /** What most targets may allocate for an input. */
  public static final long ALLOCATED_MAX = 8 << 20;

  /** Reads one input. */
  @FunctionalInterface
  public interface Reader {
    /**
     * Reads, and uses what was read.
     *
     * @return whether the input was accepted; one that is refused may as well throw a
     *     CrossmeshException of one of the target's codes
     */
    boolean read(byte[] input);
  }

  /** A reader of documents, which refuses with LAYOUT. */
  public static FuzzTarget documents(String name, List<String> valid, TextReader reader) {
    return documents(name, valid, Set.of(Code.LAYOUT), reader);
  }

  /** A reader of documents that refuses with other codes. */
  public static FuzzTarget documents(
      String name, List<String> valid, Set<Code> refusals, TextReader reader) {
    return new FuzzTarget(
        name,
        true,
        valid.stream().map(text -> text.getBytes(StandardCharsets.UTF_8)).toList(),
        refusals,
        ALLOCATED_MAX,
        input -> {
          reader.read(new String(input, StandardCharsets.UTF_8));
          return true;
        },
        () -> {});
  }

  /** As this, for a reader of what may ask for much. */
  public FuzzTarget allocating(long bytes) {
    return new FuzzTarget(name, json, valid, refusals, bytes, reader, end);
  }

  /** Reads a document, or throws. */
  @FunctionalInterface
  public interface TextReader {
    /** Reads. */
    void read(String text);
  }

  /** Fails when what was accepted is not written as it was read. */
  public static void same(Object read, Object again) {
    if (!read.equals(again)) {
      throw new AssertionError("read %s, and after writing it %s".formatted(read, again));
    }
  }

  /** Fails when a message was changed by reading and writing it. */
  public static void same(byte[] read, byte[] again) {
    if (!Arrays.equals(read, again)) {
      throw new AssertionError("what was read is written otherwise");
    }
  }

  @Override
  public void close() {
    end.run();
  }
}
