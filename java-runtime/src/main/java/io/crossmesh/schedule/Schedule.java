package io.crossmesh.schedule;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.List;
import java.util.Optional;

/**
 * What each stage does, in order. Every schedule is checked when it is made: each operation there
 * is exactly once and in order, no stage waits for ever with blocking or with overlapped transfers,
 * and the peak of live activations is what its family promises.
 *
 * @param family how it was made
 * @param shape its size
 * @param split whether weight gradients are operations of their own
 * @param ops for each stage its operations
 */
public record Schedule(Family family, PipelineShape shape, boolean split, List<List<Op>> ops) {
  private static final int DUMP_MAX = 4000;

  /** Checks it; what is wrong is a mistake of crossmesh, and the message shows the lists. */
  public Schedule {
    ops = ops.stream().map(List::copyOf).toList();
    Optional<String> wrong = ScheduleCheck.violation(family, shape, split, ops);
    if (wrong.isPresent()) {
      throw new CrossmeshException(
          Code.INTERNAL,
          "The schedule %s is wrong: %s. Please report it with this:%n%s"
              .formatted(family.id(), wrong.get(), dump(ops)));
    }
  }

  /** The operations of one stage. */
  public List<Op> stage(int stage) {
    return ops.get(stage);
  }

  /** How many forwards a stage runs before its first backward. */
  public int warmup(int stage) {
    int count = 0;
    for (Op op : ops.get(stage)) {
      if (op.kind() == OpKind.BACKWARD) {
        break;
      }
      count++;
    }
    return count;
  }

  /** 64 hexadecimal digits that are equal for schedules that run the same; see ScheduleDigest. */
  public String digest() {
    return ScheduleDigest.of(this);
  }

  private static String dump(List<List<Op>> ops) {
    StringBuilder text = new StringBuilder();
    for (int stage = 0; stage < ops.size() && text.length() < DUMP_MAX; stage++) {
      text.append("stage ").append(stage).append(':');
      for (Op op : ops.get(stage)) {
        if (text.length() >= DUMP_MAX) {
          return text.append(" ...").toString();
        }
        text.append(' ').append(op);
      }
      text.append('\n');
    }
    return text.toString();
  }
}
