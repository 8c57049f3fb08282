package io.crossmesh.transfer;

import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * What a destination host tells source hosts of its steps: that a set is reserved for one, and that
 * all of one has landed. The end of a step is kept until the next credit for the same host and
 * channel, with which it shares a message, or until clients' commands were taken once more, so that
 * what a client sends at once goes first: before anything else comes of the transport, which could
 * take long.
 *
 * <p>Answers to a host keep their order, but for the two that share a message; so a step's credit
 * is never behind its end.
 */
final class Answers {
  /** Sends an answer as messages. */
  interface Post {
    void answer(Answer answer);
  }

  /** One message to come: the end of a step, the credit for one, or both. */
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

  Answers(Post post) {
    this.post = post;
  }

  /** All of a step has landed. */
  void done(String host, long channel, long step) {
    Answer answer = add(host, channel);
    answer.done = step;
    answer.hasDone = true;
  }

  /** A set is reserved for a step; to be flushed when all hosts are told. */
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

  /** Sends all that is kept; how many messages. */
  int flush() {
    int sent = 0;
    while (!kept.isEmpty()) {
      Answer first = kept.remove();
      post.answer(first);
      spare.push(first);
      sent++;
    }
    return sent;
  }
}
