package io.crossmesh.transfer;

import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * What a destination host tells source hosts of its steps, kept until the end of the engine's next
 * turn: that all of a step has landed, and that a set is reserved for one. Nobody is kept waiting
 * by that: an idle turn takes a microsecond. Meanwhile those whom the turn has woken run, what they
 * send at once goes first, and the end of a step and the credit for a later one become one message.
 *
 * <p>Answers to a host keep their order, but for the two that share a message; so a step's credit
 * is never behind its end.
 */
final class Answers {
  /** Sends an answer as messages. */
  interface Post {
    void answer(Answer answer);
  }

  /** One message to come: the end of a step, a credit, or both. */
  static final class Answer {
    private String host = "";
    private long channel;
    private long done;
    private long granted;
    private boolean hasDone;
    private boolean hasGranted;

    String host() {
      return host;
    }

    long channel() {
      return channel;
    }

    /** The step that has landed, if {@link #hasDone}. */
    long done() {
      return done;
    }

    boolean hasDone() {
      return hasDone;
    }

    /** The step that a set is reserved for, if {@link #hasGranted}; after {@link #done}. */
    long granted() {
      return granted;
    }

    boolean hasGranted() {
      return hasGranted;
    }

    private boolean isFor(String toHost, long ofChannel) {
      return channel == ofChannel && host.equals(toHost);
    }
  }

  private final Post post;
  private final ArrayDeque<Answer> kept = new ArrayDeque<>();
  private final ArrayDeque<Answer> spare = new ArrayDeque<>();

  /** How many of those that are kept were there at the end of the last turn. */
  private int due;

  Answers(Post post) {
    this.post = post;
  }

  /** All of a step has landed. */
  void done(String host, long channel, long step) {
    Answer last = last(host, channel);
    if (last == null || last.hasDone || !together(step, last.granted)) {
      last = add(host, channel);
    }
    last.done = step;
    last.hasDone = true;
  }

  /** A set is reserved for a step. */
  void granted(String host, long channel, long step) {
    Answer last = last(host, channel);
    if (last == null || last.hasGranted || !together(last.done, step)) {
      last = add(host, channel);
    }
    last.granted = step;
    last.hasGranted = true;
  }

  private static boolean together(long done, long granted) {
    return granted > done && granted - done > 0 && granted - done <= Integer.MAX_VALUE;
  }

  private @Nullable Answer last(String host, long channel) {
    for (var answers = kept.descendingIterator(); answers.hasNext(); ) {
      Answer answer = answers.next();
      if (answer.isFor(host, channel)) {
        return answer;
      }
    }
    return null;
  }

  private Answer add(String host, long channel) {
    Answer answer = spare.isEmpty() ? new Answer() : spare.pop();
    answer.host = host;
    answer.channel = channel;
    answer.hasDone = false;
    answer.hasGranted = false;
    kept.add(answer);
    return answer;
  }

  /** Ends a turn: sends what was kept before it; how many answers there were. */
  int turn() {
    int had = kept.size();
    send(due);
    due = kept.size();
    return had;
  }

  /** Sends all, as something else must not overtake them. */
  void flush() {
    send(kept.size());
    due = 0;
  }

  private void send(int count) {
    for (int i = 0; i < count; i++) {
      Answer first = kept.remove();
      post.answer(first);
      spare.push(first);
    }
  }
}
