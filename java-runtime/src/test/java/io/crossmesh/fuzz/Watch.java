package io.crossmesh.fuzz;

import com.sun.management.ThreadMXBean;
import io.crossmesh.CrossmeshException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/**
 * Gives inputs to a target and fails when it does what none may do: throw something that is no
 * documented refusal, answer with an endless message, take long, or allocate much.
 */
final class Watch {
  /** Most bytes allocated for each byte of an input, beside what its target may. */
  static final long ALLOCATED_PER_BYTE = 512;

  static final long NANOS_MAX = TimeUnit.SECONDS.toNanos(10);
  static final int MESSAGE_CHARS_MAX = 5000;
  private static final int SHOWN = 4000;

  private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
  private final FuzzTarget target;
  private long inputs;
  private long accepted;
  private long allocatedMax;
  private long nanos;

  Watch(FuzzTarget target) {
    this.target = target;
  }

  long inputs() {
    return inputs;
  }

  long accepted() {
    return accepted;
  }

  /** Reads one input; {@code from} says where it came from. */
  void read(byte[] input, String from) {
    inputs++;
    long before = threads.getCurrentThreadAllocatedBytes();
    long begun = System.nanoTime();
    try {
      accepted += target.reader().read(input) ? 1 : 0;
    } catch (CrossmeshException refused) {
      if (!target.refusals().contains(refused.code())) {
        throw failure("refused with " + refused.code(), input, from, refused);
      }
      if (String.valueOf(refused.getMessage()).length() > MESSAGE_CHARS_MAX) {
        throw failure("refused in too many words", input, from, refused);
      }
    } catch (RuntimeException | StackOverflowError | OutOfMemoryError | AssertionError e) {
      throw failure("not refused but broken", input, from, e);
    }
    long took = System.nanoTime() - begun;
    long allocated = threads.getCurrentThreadAllocatedBytes() - before;
    nanos += took;
    allocatedMax = Math.max(allocatedMax, allocated);
    if (took > NANOS_MAX) {
      throw failure("took " + took + " ns", input, from, null);
    }
    if (allocated > target.allocatedMax() + ALLOCATED_PER_BYTE * input.length) {
      throw failure("allocated " + allocated + " bytes", input, from, null);
    }
  }

  private AssertionError failure(String what, byte[] input, String from, Throwable why) {
    String text = new String(input, StandardCharsets.UTF_8);
    return new AssertionError(
        "%s, %s: %s%n%s%n%s"
            .formatted(
                target.name(),
                from,
                what,
                text.length() <= SHOWN ? text : text.substring(0, SHOWN) + "...",
                input.length <= SHOWN ? Base64.getEncoder().encodeToString(input) : ""),
        why);
  }

  /** One line of a table. */
  String line() {
    return String.format(
        Locale.ROOT,
        "%-22s %10d %10d %9.1f %12d",
        target.name(),
        inputs,
        accepted,
        nanos / 1e9,
        allocatedMax >> 10);
  }

  @Override
  public String toString() {
    return line();
  }

  static String head() {
    return "%-22s %10s %10s %9s %12s"
        .formatted("target", "inputs", "accepted", "seconds", "KiB at most");
  }
}
