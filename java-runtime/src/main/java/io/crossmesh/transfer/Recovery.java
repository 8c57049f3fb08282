package io.crossmesh.transfer;

import org.jspecify.annotations.Nullable;

/**
 * What a channel does about hosts that it loses. Steps that every source host that is there has
 * begun are completed at each destination host that still gets all chunks, from whoever has them;
 * at the others they fail, and only there. No step begins any more, and when none is left on this
 * host, the channel is over here.
 *
 * <p>Nobody coordinates this: each host tells all others what it has lost, each destination host
 * asks for what it misses, and says what it gives up. A host that is told to be lost itself ends
 * its channel: the others have turned away from it.
 */
final class Recovery {
  private final Node node;
  private final Channel channel;
  private final Binding binding;
  private final Closings closings;
  private final ChannelText text;
  private final Losses losses = new Losses();

  /** Steps that failed at the destination side of this host, or at its source side, only. */
  private final DeadSteps unlanded = new DeadSteps();

  private final DeadSteps undelivered = new DeadSteps();

  Recovery(Node node, Channel channel, Binding binding, Closings closings, ChannelText text) {
    this.node = node;
    this.channel = channel;
    this.binding = binding;
    this.closings = closings;
    this.text = text;
  }

  Losses losses() {
    return losses;
  }

  /** This host has lost the connection to another one of an open channel. */
  void lose(String host, String reason) {
    lose(host, reason, !closings.closed(host));
  }

  /** Another host has lost one; it begins no more steps. */
  void told(String by, ControlCodec.Loss loss) {
    if (loss.host().equals(node.host())) {
      channel.fail(text.cutOff(by, loss.reason()), false);
      return;
    }
    if (!binding.hosts().contains(loss.host())) {
      node.drop();
      return;
    }
    lose(loss.host(), loss.reason(), true);
    silent(by);
  }

  /** A host begins no more steps. */
  void silent(String host) {
    losses.tell(host);
    SinkSteps sink = channel.roles().sink();
    if (sink != null) {
      sink.recovery().judgeAll();
    }
    channel.touch();
  }

  private void lose(String host, String reason, boolean ends) {
    Failure why = text.lostHost(host, reason);
    boolean news = losses.add(host, why);
    boolean first = ends && losses.end(why);
    if (!news && !first) {
      return;
    }
    Roles roles = channel.roles();
    if (first && roles.source() != null) {
      roles.source().beginNoMore(why);
    }
    if (losses.ending()) {
      // To itself as well, behind what it has begun.
      node.outbox()
          .send(
              binding.hosts(),
              MessageKind.LOST,
              channel.id(),
              0,
              ControlCodec.loss(new ControlCodec.Loss(host, reason)));
    }
    if (news) {
      channel.ends().tellAgain();
    }
    roles.lose(host);
    channel.touch();
  }

  /** This host takes no more part: to the others it is lost. */
  void leave(String reason) {
    byte[] payload = ControlCodec.loss(new ControlCodec.Loss(node.host(), reason));
    for (String host : binding.hosts()) {
      if (!host.equals(node.host())) {
        node.outbox().send(host, MessageKind.LOST, channel.id(), 0, payload);
      }
    }
  }

  /** Nobody has a chunk of a move that a live step misses here. */
  void nobodyHas(long step, int move) {
    if (losses.none()) {
      Failure unlike = text.lostChunk("no host has a chunk that did not arrive whole");
      channel.ends().fail(step, unlike, true);
    } else {
      giveUp(step, text.nobodyHas(losses.failure(), step, channel.roles().tensor(move)));
    }
  }

  /** A step will not be whole on this host; on others it may. */
  void giveUp(long step, Failure failure) {
    SinkSteps sink = channel.roles().sink();
    if (sink == null || unlanded.get(step) != null) {
      return;
    }
    unlanded.add(step, failure);
    sink.fail(step);
    node.outbox()
        .send(binding.hosts(), MessageKind.GIVE_UP, channel.id(), step, ControlMessage.NO_PAYLOAD);
    channel.ends().tellProcesses(Side.DST, step, failure);
  }

  /** A step ended without some destination host; why. */
  Failure undelivered(long step) {
    Failure failure =
        losses.none() ? text.lostChunk("a destination host gave it up") : losses.failure();
    undelivered.add(step, failure);
    return failure;
  }

  /** Why a step is over for one side of this host before it is called, if it is. */
  @Nullable Failure over(long step, Side side) {
    Failure own = (side == Side.SRC ? undelivered : unlanded).get(step);
    if (own != null || !losses.ending()) {
      return own;
    }
    SinkSteps sink = channel.roles().sink();
    boolean mayCome =
        side == Side.DST && sink != null && (sink.isLive(step) || !sink.recovery().silent());
    return mayCome ? null : losses.why();
  }

  /** Why a step failed at the destination side of this host only, if it did. */
  @Nullable Failure givenUp(long step) {
    return unlanded.get(step);
  }

  /** Forgets failed steps that nobody can call any more. */
  void forgetThrough(long step) {
    unlanded.forgetThrough(step);
    undelivered.forgetThrough(step);
  }

  /** Why the channel is over on this host: it ends and no step is left. */
  @Nullable Failure finished() {
    return losses.ending() && channel.roles().idle() ? losses.why() : null;
  }
}
