package io.crossmesh.transfer;

import io.crossmesh.Code;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Iterator;
import java.util.Map;

/**
 * Chunks of a channel that arrived damaged and are asked for again. Not the host before this one is
 * asked but the one that staged the slice: it keeps the bytes until every destination has them,
 * whereas a relay has handed its set over. A few are outstanding at a time, so that the host that
 * sends them again needs little memory; one that is damaged time and again ends its step.
 */
final class Repairs {
  private static final int OUTSTANDING_MAX = 8;
  private static final int DAMAGES_MAX = 5;

  private record Key(long step, int move, int chunk) {}

  private final Node node;
  private final Channel channel;
  private final HostPlan plan;

  /** How often each chunk that is not there yet was damaged. */
  private final Map<Key, Integer> damages = new HashMap<>();

  private final ArrayDeque<Key> waiting = new ArrayDeque<>();
  private int outstanding;

  Repairs(Node node, Channel channel, HostPlan plan) {
    this.node = node;
    this.channel = channel;
    this.plan = plan;
  }

  /** A chunk of a live step is damaged: it is asked for again, now or a little later. */
  void damaged(long step, HostMove move, int chunk) {
    node.damage();
    Key key = new Key(step, move.index(), chunk);
    int times = damages.merge(key, 1, Integer::sum);
    if (times >= DAMAGES_MAX) {
      channel.failStep(
          step,
          new Failure(
              Code.INTERNAL,
              "Bytes from host '%s' arrived damaged at host '%s' %d times in a row (%s). See to the memory and the network of both."
                  .formatted(plan.originHost(move.index()), node.host(), times, channel.what())),
          true);
      return;
    }
    if (times > 1) {
      outstanding--;
    }
    waiting.add(key);
    ask();
  }

  private void ask() {
    while (outstanding < OUTSTANDING_MAX && !waiting.isEmpty()) {
      Key key = waiting.remove();
      outstanding++;
      byte[] payload = ControlCodec.chunk(new ControlCodec.Chunk(key.move, key.chunk));
      String host = plan.originHost(key.move);
      node.outbox().send(host, MessageKind.RESEND, channel.id(), key.step, payload);
    }
  }

  /** Whether a chunk was asked for again from a host. */
  boolean expects(WireHeader header, String host) {
    return !damages.isEmpty()
        && damages.containsKey(new Key(header.step, header.move, header.chunk))
        && plan.originHost(header.move).equals(host);
  }

  /** A chunk is there. */
  void landed(long step, HostMove move, int chunk) {
    if (!damages.isEmpty()) {
      Key key = new Key(step, move.index(), chunk);
      if (damages.remove(key) != null) {
        drop(key);
        ask();
      }
    }
  }

  /** A step is over: nothing of it is asked for any more. */
  void forget(long step) {
    if (damages.isEmpty()) {
      return;
    }
    for (Iterator<Key> keys = damages.keySet().iterator(); keys.hasNext(); ) {
      Key key = keys.next();
      if (key.step == step) {
        keys.remove();
        drop(key);
      }
    }
    ask();
  }

  /** A chunk is no longer waited for, asked for or not. */
  private void drop(Key key) {
    if (!waiting.remove(key)) {
      outstanding--;
    }
  }
}
