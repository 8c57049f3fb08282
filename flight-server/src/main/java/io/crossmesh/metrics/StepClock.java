package io.crossmesh.metrics;

/**
 * When the steps of one channel's end were called. A table of fixed size: a step that meets another
 * one in its place, {@link #STEPS_MAX} steps younger, loses its time and is not measured. So a
 * process that posts far ahead costs nothing and allocates nothing.
 */
final class StepClock {
  /** Steps of one end that are timed at once; a power of two. */
  static final int STEPS_MAX = 64;

  /** No time is known. */
  static final long UNKNOWN = -1;

  private final long[] steps = new long[STEPS_MAX];
  private final long[] nanos = new long[STEPS_MAX];
  private final boolean[] taken = new boolean[STEPS_MAX];

  synchronized void called(long step, long now) {
    int place = place(step);
    steps[place] = step;
    nanos[place] = now;
    taken[place] = true;
  }

  /** Nanoseconds since a step was called, or {@link #UNKNOWN}; asked again, it is unknown. */
  synchronized long ended(long step, long now) {
    int place = place(step);
    if (!taken[place] || steps[place] != step) {
      return UNKNOWN;
    }
    taken[place] = false;
    return Math.max(0, now - nanos[place]);
  }

  private static int place(long step) {
    return (int) (step & (STEPS_MAX - 1));
  }
}
