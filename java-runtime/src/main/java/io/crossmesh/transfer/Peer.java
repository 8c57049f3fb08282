package io.crossmesh.transfer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/**
 * One life of another agent. Its control messages are handed on in the order in which they were
 * sent, although the payload of an earlier one may land after a later one.
 */
final class Peer {
  private static final long NO_CONNECTION = -1;

  private final int index;
  private final PeerSpec spec;
  private final BiConsumer<Peer, ControlMessage> sink;
  private final ArrayDeque<Arrival> arrivals = new ArrayDeque<>();
  private final long pass = Passes.draw();
  private boolean connected = true;
  private boolean greeted;
  private long connection = NO_CONNECTION;
  private boolean heard;
  private int quietBeats;
  private long told = Passes.NONE;

  Peer(int index, PeerSpec spec, BiConsumer<Peer, ControlMessage> sink) {
    this.index = index;
    this.spec = spec;
    this.sink = sink;
  }

  int index() {
    return index;
  }

  String host() {
    return spec.host();
  }

  PeerSpec spec() {
    return spec;
  }

  boolean connected() {
    return connected;
  }

  /** What it must show in messages about no channel, and when it is ready for one. */
  long pass() {
    return pass;
  }

  /** Notes what it wants to be shown from now on; false when it had told before. */
  boolean tell(long wanted) {
    boolean first = told == Passes.NONE;
    told = wanted;
    return first;
  }

  /** What it wants to be shown; {@link Passes#NONE} before it has told. */
  long told() {
    return told;
  }

  /** Whether it is connected and has told what it wants to be shown: messages go both ways. */
  boolean answered() {
    return connected && told != Passes.NONE;
  }

  /** Notes a greeting; false when there was one before: then the peer had lost this host. */
  boolean greet() {
    boolean first = !greeted;
    greeted = true;
    return first;
  }

  /**
   * Notes by which connection a message of this life came; false when it is by another than those
   * before. A greeting begins a new one: the peer had lost this host.
   */
  boolean came(long by, MessageKind kind) {
    if (connection == NO_CONNECTION || kind == MessageKind.HELLO) {
      connection = by;
    }
    heard |= connection == by;
    return connection == by;
  }

  /** The connection by which its messages come; of no use before the first has come. */
  long connection() {
    return connection;
  }

  /** Notes that something came of it. */
  void hear() {
    heard = true;
  }

  /** Counts a beat; how many in a row nothing has come of it for. */
  int beat() {
    quietBeats = heard ? 0 : quietBeats + 1;
    heard = false;
    return quietBeats;
  }

  /** Nothing that is still landing will be handed on. */
  void lost() {
    connected = false;
    arrivals.clear();
  }

  /** Accepts a control message; the answer takes its payload. */
  Transport.Landing arrive(MessageKind kind, long channel, long step, long payloadBytes) {
    if (payloadBytes == 0) {
      ControlMessage message = new ControlMessage(kind, channel, step, ControlMessage.NO_PAYLOAD);
      if (arrivals.isEmpty()) {
        sink.accept(this, message);
      } else {
        Arrival arrival = new Arrival(kind, channel, step, 0);
        arrival.message = message;
        arrivals.add(arrival);
      }
      return Transport.Landing.DISCARD;
    }
    Arrival arrival = new Arrival(kind, channel, step, payloadBytes);
    arrivals.add(arrival);
    return arrival;
  }

  private void handOn() {
    while (true) {
      Arrival first = arrivals.peek();
      if (first == null || (first.message == null && !first.failed)) {
        return;
      }
      arrivals.poll();
      if (first.message != null) {
        sink.accept(Peer.this, first.message);
      }
    }
  }

  private final class Arrival implements Transport.Landing {
    private final MessageKind kind;
    private final long channel;
    private final long step;
    private final MemorySegment payload;
    private @Nullable ControlMessage message;
    private boolean failed;

    Arrival(MessageKind kind, long channel, long step, long payloadBytes) {
      this.kind = kind;
      this.channel = channel;
      this.step = step;
      this.payload = payloadBytes == 0 ? MemorySegment.NULL : Arena.ofAuto().allocate(payloadBytes);
    }

    @Override
    public boolean ready(Runnable fetch) {
      return true;
    }

    @Override
    public void arrived(MemorySegment payload) {
      segment().copyFrom(payload);
      landed();
    }

    @Override
    public MemorySegment segment() {
      return payload;
    }

    @Override
    public boolean bulk() {
      return false;
    }

    @Override
    public void landed() {
      if (connected) {
        message = new ControlMessage(kind, channel, step, payload.toArray(ValueLayout.JAVA_BYTE));
        handOn();
      }
    }

    @Override
    public void failed(String reason) {
      failed = true;
      handOn();
    }
  }
}
