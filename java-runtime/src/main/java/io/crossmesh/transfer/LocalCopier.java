package io.crossmesh.transfer;

import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * Copies the moves of a channel that stay on this host from staging to landing sets, chunk by chunk
 * and a bounded number of bytes at a turn, so that the network never waits long for a large copy.
 */
final class LocalCopier {
  private static final class Task {
    private final SourceStep.Part part;
    private final HostMove move;
    private final MemorySet from;
    private int next;

    Task(SourceStep.Part part, HostMove move, MemorySet from) {
      this.part = part;
      this.move = move;
      this.from = from;
    }
  }

  private final Channel channel;
  private final @Nullable Scratch scratch;
  private final ArrayDeque<Task> tasks = new ArrayDeque<>();
  private @Nullable SinkSteps sink;

  /**
   * @param scratch for slices that are contiguous at neither end
   */
  LocalCopier(Channel channel, @Nullable Scratch scratch) {
    this.channel = channel;
    this.scratch = scratch;
  }

  /** Where copied chunks are counted. */
  void into(SinkSteps steps) {
    sink = steps;
  }

  void add(SourceStep.Part part, HostMove move, MemorySet from) {
    tasks.add(new Task(part, move, from));
    channel.wake();
  }

  boolean idle() {
    return tasks.isEmpty();
  }

  /** Copies up to about {@code limit} bytes; the number of chunks. */
  int pump(long limit) {
    int copied = 0;
    long left = limit;
    while (left > 0) {
      Task task = tasks.peek();
      if (task == null) {
        break;
      }
      SinkSteps into = sink;
      SinkStep step = into == null ? null : into.granted(task.part.step().step());
      LandingSet landing = step == null ? null : step.set();
      if (task.part.over() || into == null || step == null || landing == null) {
        tasks.poll();
        continue;
      }
      int chunk = task.next++;
      copy(task, landing.memory(), chunk);
      left -= task.move.chunkLength(chunk);
      copied++;
      if (task.next == task.move.chunks()) {
        tasks.poll();
        task.part.copied();
      }
      into.copied(step);
    }
    return copied;
  }

  private void copy(Task task, MemorySet to, int chunk) {
    HostMove move = task.move;
    TilePlace source = move.source();
    TilePlace target = move.target();
    if (target.contiguous()) {
      task.from.pack(move, source, chunk, to.chunk(move, target, chunk));
    } else if (source.contiguous()) {
      to.unpack(move, target, chunk, task.from.chunk(move, source, chunk));
    } else if (scratch != null) {
      var packed = scratch.of(move.chunkLength(chunk));
      task.from.pack(move, source, chunk, packed);
      to.unpack(move, target, chunk, packed);
    } else {
      throw new IllegalStateException("a strided copy without scratch");
    }
  }
}
