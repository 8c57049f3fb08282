package io.crossmesh.transfer;

import io.crossmesh.Code;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;

/**
 * Chunks of a channel that a destination host asks for by itself: those that arrived damaged, and
 * those that will not come because the host before this one is lost or has given the step up.
 *
 * <p>First that host is asked that staged the slice: it keeps the bytes until every destination has
 * them, whereas a relay has handed its set over; then the other source hosts that hold it, then
 * destination hosts that may have landed it. What nobody has ends the step here. A few chunks are
 * outstanding at a time, so that the hosts that are asked need little memory; one that is damaged
 * time and again ends its step everywhere.
 */
final class Fetches {
  private static final int OUTSTANDING_MAX = 8;
  private static final int FAILURES_MAX = 5;

  private record Key(long step, int move, int chunk) {}

  private enum State {
    NEW,
    WAITING,
    ASKED,
    OVER
  }

  /** A chunk that is not there yet. */
  private static final class Fetch {
    private final Key key;
    private final List<String> holders;
    private int next;
    private int failures;
    private State state = State.NEW;

    Fetch(Key key, List<String> holders) {
      this.key = key;
      this.holders = holders;
    }

    boolean asks(String host) {
      return state == State.ASKED && holders.get(next).equals(host);
    }
  }

  private final Node node;
  private final Channel channel;
  private final Holders holders;
  private final Map<Key, Fetch> fetches = new HashMap<>();
  private final ArrayDeque<Fetch> waiting = new ArrayDeque<>();
  private int outstanding;

  Fetches(Node node, Channel channel, HostPlan plan) {
    this.node = node;
    this.channel = channel;
    this.holders = new Holders(plan, node.host());
  }

  /** A chunk of a live step is damaged: the same host is asked for it again. */
  void damaged(long step, HostMove move, int chunk) {
    node.damage();
    Fetch fetch = fetch(step, move, chunk);
    fetch.failures++;
    if (fetch.failures >= FAILURES_MAX) {
      channel
          .ends()
          .fail(
              step,
              new Failure(
                  Code.TRANSFER_CORRUPTED,
                  "Bytes from host '%s' arrived damaged at host '%s' %d times in a row (%s). See to the memory and the network of both."
                      .formatted(
                          fetch.holders.getFirst(), node.host(), fetch.failures, channel.what())),
              true);
      return;
    }
    again(fetch);
  }

  /** A chunk of a live step will not come as it was to. */
  void missing(long step, HostMove move, int chunk) {
    Fetch fetch = fetch(step, move, chunk);
    if (fetch.state == State.ASKED && ++fetch.failures >= FAILURES_MAX) {
      fetch.next++;
    }
    again(fetch);
  }

  private Fetch fetch(long step, HostMove move, int chunk) {
    return fetches.computeIfAbsent(
        new Key(step, move.index(), chunk), key -> new Fetch(key, holders.of(move.index())));
  }

  private void again(Fetch fetch) {
    if (fetch.state == State.ASKED) {
      outstanding--;
    }
    if (fetch.state != State.WAITING) {
      fetch.state = State.WAITING;
      waiting.add(fetch);
    }
    ask();
  }

  private void ask() {
    while (outstanding < OUTSTANDING_MAX && !waiting.isEmpty()) {
      Fetch fetch = waiting.remove();
      if (fetch.state == State.OVER) {
        continue;
      }
      while (fetch.next < fetch.holders.size()
          && channel.losses().has(fetch.holders.get(fetch.next))) {
        fetch.next++;
      }
      if (fetch.next < fetch.holders.size()) {
        fetch.state = State.ASKED;
        outstanding++;
        node.outbox()
            .send(
                fetch.holders.get(fetch.next),
                MessageKind.RESEND,
                channel.id(),
                fetch.key.step,
                ControlCodec.chunk(new ControlCodec.Chunk(fetch.key.move, fetch.key.chunk)));
      } else {
        channel.recovery().nobodyHas(fetch.key.step, fetch.key.move);
      }
    }
  }

  /** Whether a chunk was asked for from a host. */
  boolean expects(WireHeader header, String host) {
    if (fetches.isEmpty()) {
      return false;
    }
    Fetch fetch = fetches.get(new Key(header.step, header.move, header.chunk));
    return fetch != null && fetch.asks(host);
  }

  /** A host does not have a chunk that it was asked for: the next one is asked. */
  void lacks(String host, long step, ControlCodec.Chunk chunk) {
    Fetch fetch = fetches.get(new Key(step, chunk.move(), chunk.chunk()));
    if (fetch != null && fetch.asks(host)) {
      fetch.next++;
      again(fetch);
    }
  }

  /** A host is lost: what it was asked for the next ones are asked for. */
  void lose(String host) {
    List<Fetch> asked = fetches.values().stream().filter(fetch -> fetch.asks(host)).toList();
    for (Fetch fetch : asked) {
      if (fetch.asks(host)) {
        fetch.next++;
        again(fetch);
      }
    }
  }

  /** A chunk is there. */
  void landed(long step, HostMove move, int chunk) {
    if (!fetches.isEmpty()) {
      Fetch fetch = fetches.remove(new Key(step, move.index(), chunk));
      if (fetch != null) {
        drop(fetch);
        ask();
      }
    }
  }

  /** A step is over: nothing of it is asked for any more. */
  void forget(long step) {
    if (fetches.isEmpty()) {
      return;
    }
    for (Iterator<Fetch> all = fetches.values().iterator(); all.hasNext(); ) {
      Fetch fetch = all.next();
      if (fetch.key.step == step) {
        all.remove();
        drop(fetch);
      }
    }
    ask();
  }

  /** A chunk is no longer waited for, asked for or not. */
  private void drop(Fetch fetch) {
    if (fetch.state == State.ASKED) {
      outstanding--;
    }
    fetch.state = State.OVER;
  }
}
