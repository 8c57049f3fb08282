package io.crossmesh.transfer;

import java.util.ArrayDeque;

/** The messages of a channel on one host: who takes which. Those that come too early wait. */
final class ChannelInbox {
  /** Others can be open a moment earlier, but send no more steps than they have staging sets. */
  private static final int EARLY_MAX = 1 << 16;

  private record Early(String host, ControlMessage message) {}

  private final Node node;
  private final Channel channel;
  private final Closings closings;
  private final Recovery recovery;
  private final ArrayDeque<Early> early = new ArrayDeque<>();

  ChannelInbox(Node node, Channel channel, Closings closings, Recovery recovery) {
    this.node = node;
    this.channel = channel;
    this.closings = closings;
    this.recovery = recovery;
  }

  /** Takes a message of a host. */
  void message(String host, ControlMessage message) {
    if (channel.ended()
        || !channel.binding().hosts().contains(host)
        || recovery.losses().has(host)) {
      node.drop();
      return;
    }
    switch (message.kind()) {
      case READY -> ready(host, ControlCodec.readReady(message.payload()));
      case CHANNEL_FAIL -> channel.fail(ControlCodec.readFailure(message.payload()), false);
      case LOST -> lost(host, ControlCodec.readLoss(message.payload()));
      default -> {
        if (channel.isOpen()) {
          step(host, message);
        } else if (early.size() < EARLY_MAX) {
          early.add(new Early(host, message));
        } else {
          node.drop();
        }
      }
    }
  }

  private void ready(String host, ControlCodec.Ready ready) {
    channel.passes().tell(host, ready.pass());
    channel.opening().ready(host, ready.digest());
  }

  private void lost(String host, ControlCodec.Loss loss) {
    if (channel.isOpen()) {
      recovery.told(host, loss);
    } else {
      channel.peerLost(loss.host(), loss.reason());
    }
  }

  /** The channel is open. */
  void open() {
    while (!early.isEmpty() && !channel.ended()) {
      Early first = early.poll();
      message(first.host, first.message);
    }
  }

  void clear() {
    early.clear();
  }

  private void step(String host, ControlMessage message) {
    SourceSteps sending = channel.roles().source();
    SinkSteps landing = channel.roles().sink();
    long step = message.step();
    switch (message.kind()) {
      case START -> {
        if (landing != null && closings.over(step) == null) {
          landing.start(host, step);
          channel.ends().forget();
        }
      }
      case GRANT -> {
        if (sending != null && closings.over(step) == null) {
          sending.grant(host, step);
        }
      }
      case DONE -> {
        if (sending != null) {
          sending.done(host, step);
        }
      }
      case OVER -> {
        if (landing != null) {
          landing.recovery().over(host);
        }
      }
      case DIGESTS -> {
        if (landing != null) {
          landing.digests(host, step, message.payload());
        }
      }
      case GIVE_UP -> {
        if (sending != null) {
          sending.givenUp(host, step);
        }
        if (landing != null) {
          landing.recovery().givenUp(host, step);
        }
      }
      case RESEND ->
          channel.holdings().asked(host, step, ControlCodec.readChunk(message.payload()));
      case LACKS -> {
        if (landing != null) {
          landing.chunks().lacks(host, step, ControlCodec.readChunk(message.payload()));
        }
      }
      case STEP_FAIL ->
          channel.ends().fail(step, ControlCodec.readFailure(message.payload()), false);
      case CLOSE -> channel.close(host, step, ControlCodec.readNumber(message.payload()));
      default -> node.drop();
    }
  }
}
