package io.crossmesh.schedule;

import java.util.ArrayList;
import java.util.List;

/** When each operation and each transfer ran. */
public final class Timeline {
  private final Tasks tasks;
  private final Transfers transfers;
  private final long[] start;
  private final long[] end;
  private final long[] sendStart;
  private final long[] arrival;

  Timeline(Tasks tasks, Transfers transfers, Instants instants) {
    this.tasks = tasks;
    this.transfers = transfers;
    this.start = instants.start();
    this.end = instants.end();
    this.sendStart = instants.sendStart();
    this.arrival = instants.arrival();
  }

  /**
   * An operation on its stage.
   *
   * @param start seconds from the start of the step
   * @param end seconds
   */
  public record Span(int stage, Op op, double start, double end) {}

  /**
   * The input of an operation on its way.
   *
   * @param from the stage that made it
   * @param to the stage that waits for it
   * @param op the operation that made it
   * @param posted seconds at which it was ready to leave
   * @param start seconds at which it left
   * @param end seconds at which it had arrived
   */
  public record Transfer(int from, int to, Op op, double posted, double start, double end) {}

  /** All operations, by kind, virtual stage and micro-batch. */
  public List<Span> spans() {
    List<Span> spans = new ArrayList<>();
    for (int task = 0; task < start.length; task++) {
      if (start[task] >= 0) {
        spans.add(
            new Span(tasks.stage(task), tasks.op(task), seconds(start[task]), seconds(end[task])));
      }
    }
    return spans;
  }

  /**
   * All transfers between stages, by kind, receiving virtual stage and micro-batch; then those past
   * stages.
   */
  public List<Transfer> transfers() {
    List<Transfer> sent = new ArrayList<>();
    for (int transfer = 0; transfer < sendStart.length; transfer++) {
      if (sendStart[transfer] >= 0) {
        int producer = transfers.producer(transfer);
        sent.add(
            new Transfer(
                tasks.stage(producer),
                tasks.stage(transfers.consumer(transfer)),
                tasks.op(producer),
                seconds(end[producer]),
                seconds(sendStart[transfer]),
                seconds(arrival[transfer])));
      }
    }
    return sent;
  }

  /** When an operation started, in ticks; -1 if it did not. */
  long startTicks(int task) {
    return start[task];
  }

  static double seconds(long ticks) {
    return ticks / Timing.TICKS_PER_SECOND;
  }
}
