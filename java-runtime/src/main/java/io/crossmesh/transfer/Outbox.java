package io.crossmesh.transfer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.List;
import java.util.function.BiConsumer;

/**
 * Sends messages to hosts, this one included: what a host tells itself takes the same way through
 * the engine's inbox as what others tell it, so no state machine is entered twice at a time.
 */
final class Outbox {
  private static final ControlSent NOTHING_LEFT = new ControlSent(MemorySegment.NULL);

  private final String self;
  private final long epoch;
  private final Transport transport;
  private final Peers peers;
  private final Passes.Book passes;
  private final BiConsumer<String, ControlMessage> inbox;
  private final Answers answers = new Answers(this::answer);
  private final WireHeader header = new WireHeader();
  private final MemorySegment headerMemory = Arena.ofAuto().allocate(WireHeader.BYTES, 8);

  Outbox(
      String self,
      long epoch,
      Transport transport,
      Peers peers,
      Passes.Book passes,
      BiConsumer<String, ControlMessage> inbox) {
    this.self = self;
    this.epoch = epoch;
    this.transport = transport;
    this.peers = peers;
    this.passes = passes;
    this.inbox = inbox;
  }

  /** Sends a message without payload. */
  void send(String host, MessageKind kind, long channel, long step) {
    send(host, kind, channel, step, ControlMessage.NO_PAYLOAD);
  }

  /** Sends a message to one host; nothing happens when it is not connected. */
  void send(String host, MessageKind kind, long channel, long step, byte[] payload) {
    if (host.equals(self)) {
      inbox.accept(self, new ControlMessage(kind, channel, step, payload));
      return;
    }
    Peer peer = peers.ofHost(host);
    if (peer != null && peer.connected()) {
      send(peer, kind, channel, step, payload);
    }
  }

  /** Sends a message to several hosts. */
  void send(Collection<String> hosts, MessageKind kind, long channel, long step, byte[] payload) {
    for (String host : hosts) {
      send(host, kind, channel, step, payload);
    }
  }

  /** Tells hosts that all of a step has landed here, at the next {@link #flush} at the latest. */
  void done(List<String> hosts, long channel, long step) {
    for (String host : hosts) {
      if (host.equals(self)) {
        send(host, MessageKind.DONE, channel, step);
      } else {
        answers.done(host, channel, step);
      }
    }
  }

  /** Tells hosts that a set is reserved for a step here. */
  void grant(List<String> hosts, long channel, long step) {
    for (String host : hosts) {
      if (host.equals(self)) {
        send(host, MessageKind.GRANT, channel, step);
      } else {
        answers.granted(host, channel, step);
      }
    }
    answers.flush();
  }

  private void answer(Answers.Answer answer) {
    Peer peer = peers.ofHost(answer.host());
    if (peer == null || !peer.connected()) {
      return;
    }
    boolean done = answer.hasDone();
    long pass = passes.forHost(answer.channel(), peer.host());
    if (pass == Passes.NONE) {
      return;
    }
    header.reset(done ? MessageKind.DONE : MessageKind.GRANT, epoch);
    header.pass = pass;
    header.channel = answer.channel();
    header.step = done ? answer.done() : answer.granted();
    if (done && answer.hasGranted()) {
      header.flags = WireHeader.FLAG_GRANTS;
      header.chunk = (int) (answer.granted() - answer.done());
    }
    header.encode(headerMemory);
    transport.send(peer.index(), headerMemory, MemorySegment.NULL, false, NOTHING_LEFT);
  }

  /** Sends what was kept; how many messages. */
  int flush() {
    return answers.flush();
  }

  /** Sends a message to every connected peer, not to this host. */
  void broadcast(MessageKind kind, byte[] payload) {
    for (Peer peer : peers.connected()) {
      send(peer, kind, 0, 0, payload);
    }
  }

  private void send(Peer peer, MessageKind kind, long channel, long step, byte[] payload) {
    answers.flush();
    long pass = pass(peer, kind, channel);
    if (pass == Passes.NONE && kind != MessageKind.HELLO) {
      // It would be refused. What is about no channel is said again when the peer has told its
      // pass.
      return;
    }
    header.reset(kind, epoch);
    header.pass = pass;
    header.channel = channel;
    header.step = step;
    header.length = payload.length;
    header.encode(headerMemory);
    ControlSent done = new ControlSent(copy(payload));
    transport.send(peer.index(), headerMemory, done.payload, false, done);
  }

  /** What a message to a peer must show. */
  long pass(Peer peer, MessageKind kind, long channel) {
    return switch (kind) {
      case HELLO -> Passes.NONE;
      case WELCOME, CLAIM, UNCLAIM, READY, PING, PONG -> peer.told();
      default -> passes.forHost(channel, peer.host());
    };
  }

  /**
   * Sends a chunk with its checksum, or {@link Checksums#NONE}; nothing is allocated.
   *
   * @param begins whether it says as well that this host begins the step
   */
  void chunk(
      int peer,
      long channel,
      long pass,
      long step,
      int move,
      int chunk,
      MemorySegment payload,
      long checksum,
      boolean begins,
      Transport.SendDone done) {
    header.reset(MessageKind.CHUNK, epoch);
    header.flags = begins ? WireHeader.FLAG_BEGINS : 0;
    if (checksum != Checksums.NONE) {
      header.flags |= WireHeader.FLAG_PAYLOAD_CRC;
      header.payloadCrc = (int) checksum;
    }
    header.channel = channel;
    header.pass = pass;
    header.step = step;
    header.move = move;
    header.chunk = chunk;
    header.length = payload.byteSize();
    header.encode(headerMemory);
    transport.send(peer, headerMemory, payload, true, done);
  }

  private static MemorySegment copy(byte[] payload) {
    if (payload.length == 0) {
      return MemorySegment.NULL;
    }
    MemorySegment memory = Arena.ofAuto().allocate(payload.length, 8);
    memory.copyFrom(MemorySegment.ofArray(payload));
    return memory;
  }

  /** Keeps the payload reachable until it has left. A failure is followed by the peer's loss. */
  private record ControlSent(MemorySegment payload) implements Transport.SendDone {
    @Override
    public void sent() {
      // the payload is garbage from here on
    }

    @Override
    public void failed(String reason) {
      // the transport reports the peer as lost
    }
  }
}
