package io.crossmesh.schedule;

/**
 * Where the time of each stage goes, in ticks: work, exposed communication, and the rest, which is
 * bubble. Exposed is the time from the end of an operation until its blocking send is over, and the
 * time for which the input of the next operation exists on another stage without having arrived
 * while the stage has nothing else to do.
 */
final class StageClock {
  private final long[] idleSince;
  private final long[] work;
  private final long[] exposed;
  private long latest;

  StageClock(int stages) {
    idleSince = new long[stages];
    work = new long[stages];
    exposed = new long[stages];
  }

  void idle(int stage, long now) {
    idleSince[stage] = now;
    latest = Math.max(latest, now);
  }

  /** A blocking send is over. */
  void sent(int stage, long now) {
    exposed[stage] += now - idleSince[stage];
    idleSince[stage] = now;
    latest = Math.max(latest, now);
  }

  /**
   * An operation starts whose input was made elsewhere at {@code produced}. If it was made here
   * (-1), nothing but a transfer that the stage is at can have kept it.
   */
  void starts(int stage, long now, long produced) {
    exposed[stage] += now - Math.max(idleSince[stage], produced);
  }

  void works(int stage, long ticks) {
    work[stage] += ticks;
  }

  long latest() {
    return latest;
  }

  long work(int stage) {
    return work[stage];
  }

  long exposed(int stage) {
    return exposed[stage];
  }
}
