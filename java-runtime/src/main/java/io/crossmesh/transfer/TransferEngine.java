package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.memory.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.jctools.queues.MpscUnboundedArrayQueue;

/**
 * Carries out the transfers of one host: opens channels, runs their steps, moves their chunks.
 *
 * <p>Invariants:
 *
 * <ul>
 *   <li>All state belongs to the thread that calls {@link #doWork()}. Other threads put commands in
 *       a queue; messages of peers and of this host to itself wait in an inbox. Neither is looked
 *       at while a callback of the transport runs, so no state machine is entered twice.
 *   <li>A message counts only when its header is whole and its epoch is that of a peer's present
 *       life; chunks besides only when channel, step, move, chunk, length and sender fit a landing
 *       set that waits for exactly this chunk. All else is dropped and counted.
 *   <li>Time comes from the clock given, bytes go through the transport given; nothing blocks.
 *   <li>In the steady state nothing is allocated for a chunk; each step allocates a little.
 * </ul>
 */
public final class TransferEngine implements AutoCloseable {
  private static final int COMMANDS_CHUNK = 1 << 10;
  private static final int COMMANDS_PER_TURN = 1 << 10;

  /** When channels have copied and sent for so long, the transport has its turn. */
  private static final long PUMP_NANOS = 2_000_000;

  private final Node node;
  private final Transport transport;
  private final Openings openings;
  private final Membership membership;
  private final Heartbeats heartbeats;
  private final MpscUnboundedArrayQueue<Runnable> commands =
      new MpscUnboundedArrayQueue<>(COMMANDS_CHUNK);
  private final ArrayDeque<Runnable> inbox = new ArrayDeque<>();
  private final List<Mailbox> mailboxes = new ArrayList<>();
  private final WireHeader header = new WireHeader();
  private volatile boolean taking;
  private volatile boolean closed;

  /**
   * An engine that does nothing before {@link #start}.
   *
   * @param host the name of this host
   * @param epoch of this life of its agent, random
   * @param transport on which nothing was called yet
   * @param arena where all tensors of this host live; closed after this
   */
  public TransferEngine(
      String host,
      long epoch,
      Clock clock,
      Transport transport,
      Arena arena,
      EngineOptions options) {
    this.transport = transport;
    Peers peers = new Peers();
    Passes.Book passes = new Passes.Book();
    Outbox outbox =
        new Outbox(
            host,
            epoch,
            transport,
            peers,
            passes,
            (self, message) -> inbox.add(() -> dispatch(self, message)));
    this.node = new Node(host, epoch, clock, arena, options, this::command, peers, passes, outbox);
    this.openings = new Openings(node, this::channelBegun);
    this.membership = new Membership(node, transport, openings, this::queue, this::dispatch);
    this.heartbeats = new Heartbeats(node, openings::channels, membership::silent);
  }

  /**
   * Starts the transport. Called once, by the thread that calls {@link #doWork()} afterwards: a
   * transport may demand that one thread opens, drives and closes it.
   *
   * @throws CrossmeshException AGENT_UNAVAILABLE if the transport does not start
   */
  public void start() {
    transport.start(new Incoming());
  }

  private void command(Runnable command) {
    commands.add(command);
    // While mailboxes are looked at, the commands are looked at next.
    if (!taking) {
      transport.wakeup();
    }
  }

  /** Looks into a mailbox from now on, until it is over. Thread-safe. */
  public void attach(Mailbox mailbox) {
    command(() -> mailboxes.add(mailbox));
  }

  /**
   * Tells who all the agents of the cluster are; this host may be among them. A host that is not,
   * or has another epoch, is lost; one that was lost is connected again. Thread-safe.
   */
  public void setPeers(List<PeerSpec> all) {
    List<PeerSpec> copy = List.copyOf(all);
    command(() -> membership.update(copy));
  }

  /**
   * Opens this host's part of a channel for a process. Thread-safe.
   *
   * @return what the process does with it from now on, before it is open too
   * @throws CrossmeshException LAYOUT at once for what is wrong by itself, AGENT_UNAVAILABLE after
   *     {@link #close()}; what the other parties have to do with comes through the participant
   */
  public ChannelHandle open(ChannelOpen request, Participant participant) {
    ClaimCheck.check(request);
    ClaimCheck.check(Openings.claimOf(new Claim.Id(node.epoch(), 0), node.host(), request));
    if (closed) {
      throw new CrossmeshException(stopping().code(), stopping().message());
    }
    LocalParticipant local = new LocalParticipant(node, openings, request, participant);
    command(
        () -> {
          if (closed) {
            local.channelOver(stopping());
          } else {
            openings.open(local);
          }
        });
    return local;
  }

  /** A reading, taken by the owner thread. Thread-safe. */
  public CompletableFuture<EngineStatus> status() {
    CompletableFuture<EngineStatus> future = new CompletableFuture<>();
    if (closed) {
      future.completeExceptionally(new CrossmeshException(stopping().code(), stopping().message()));
    } else {
      command(() -> future.complete(reading()));
    }
    return future;
  }

  /** Does what there is to do, without waiting; 0 when there was nothing. */
  public int doWork() {
    int work = takeMail() + drainCommands() + node.outbox().flush();
    work += transport.progress();
    work += drainInbox();
    work += node.timers().run(node.now());
    long limit = node.now() + PUMP_NANOS;
    for (int turns = node.runnable().size(); turns > 0 && node.now() - limit < 0; turns--) {
      work += node.runnable().remove().pump();
    }
    return work + drainInbox();
  }

  /** Sleeps until there may be something to do, at most {@code limitNanos}. */
  public void awaitWork(long limitNanos) {
    if (commands.isEmpty() && inbox.isEmpty() && node.runnable().isEmpty()) {
      long limit = nanosToDeadline(limitNanos);
      if (limit > 0 && maySleep()) {
        transport.awaitEvent(limit);
      }
      for (int i = 0; i < mailboxes.size(); i++) {
        mailboxes.get(i).wake();
      }
    }
  }

  private boolean maySleep() {
    boolean quiet = true;
    for (int i = 0; i < mailboxes.size(); i++) {
      quiet &= mailboxes.get(i).sleep();
    }
    return quiet;
  }

  /** Nanoseconds until the next deadline, at most {@code limitNanos}. */
  public long nanosToDeadline(long limitNanos) {
    return node.timers().untilNext(node.now(), limitNanos);
  }

  private int takeMail() {
    if (mailboxes.isEmpty()) {
      return 0;
    }
    taking = true;
    int taken = 0;
    for (int i = mailboxes.size() - 1; i >= 0; i--) {
      taken += mailboxes.get(i).drain();
      if (mailboxes.get(i).over()) {
        mailboxes.remove(i);
      }
    }
    taking = false;
    return taken;
  }

  private int drainCommands() {
    int done = 0;
    Runnable command = commands.poll();
    while (command != null) {
      done++;
      command.run();
      command = done < COMMANDS_PER_TURN ? commands.poll() : null;
    }
    return done;
  }

  private int drainInbox() {
    int done = 0;
    while (!inbox.isEmpty()) {
      inbox.remove().run();
      done++;
    }
    return done;
  }

  private void channelBegun() {
    heartbeats.begin();
  }

  private void queue(Peer from, ControlMessage message) {
    inbox.add(() -> membership.arrived(from, message));
  }

  /** What a message of this host to a peer shows: tests that forge messages begin with it. */
  long passTo(String host, MessageKind kind, long channel) {
    Peer peer = node.peers().ofHost(host);
    return peer == null ? Passes.NONE : node.outbox().pass(peer, kind, channel);
  }

  private void dispatch(String host, ControlMessage message) {
    Channel channel = openings.channel(message.channel());
    if (channel == null && message.kind() == MessageKind.RESEND) {
      // Over here: whoever asks for a chunk of it must not wait.
      node.outbox()
          .send(host, MessageKind.LACKS, message.channel(), message.step(), message.payload());
    } else if (channel == null) {
      openings.early(host, message);
    } else {
      channel.message(host, message);
    }
  }

  private EngineStatus reading() {
    Map<Integer, Counters.Traffic> traffic = transport.counters().peers();
    List<EngineStatus.Peer> peers = new ArrayList<>();
    for (Peer peer : node.peers().all()) {
      peers.add(
          new EngineStatus.Peer(
              peer.host(),
              peer.spec().epoch(),
              peer.connected(),
              peer.answered(),
              membership.loss(peer),
              traffic.getOrDefault(peer.index(), Counters.Traffic.NONE)));
    }
    List<EngineStatus.Channel> channels = new ArrayList<>();
    openings.unbound().forEach(name -> channels.add(EngineStatus.Channel.claimed(name)));
    openings.channels().forEach(channel -> channels.add(channel.status()));
    return new EngineStatus(
        node.host(),
        node.epoch(),
        peers,
        channels,
        transport.counters().total(),
        node.arena().used(),
        node.arena().budget(),
        node.dropped(),
        node.damaged());
  }

  private static Failure stopping() {
    return new Failure(
        Code.AGENT_UNAVAILABLE, "The agent is stopping; start it again and connect anew.");
  }

  /**
   * Leaves all channels, as the agent stops: other hosts go on without this one. Thread-safe; comes
   * before whatever is asked for after it.
   */
  public void leave() {
    command(this::leaveAll);
  }

  private void leaveAll() {
    openings.close(
        new CrossmeshException(
            Code.PEER_LOST,
            "The agent of host '%s' is stopping; start it again and open the channel anew."
                .formatted(node.host())));
  }

  /**
   * Leaves all channels and closes the transport. Called by the thread that calls {@link
   * #doWork()}; a second call does nothing.
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    drainCommands();
    leaveAll();
    node.outbox().flush();
    transport.progress();
    transport.close();
    drainCommands();
  }

  private final class Incoming implements Transport.Handler {
    @Override
    public Transport.Landing onMessage(long connection, MemorySegment bytes, long payloadBytes) {
      Peer peer = header.decode(bytes, payloadBytes) ? node.peers().ofEpoch(header.epoch) : null;
      if (peer == null || !mayBeOf(peer) || !peer.came(connection, header.kind)) {
        node.drop();
        return Transport.Landing.DISCARD;
      }
      if (header.kind == MessageKind.WELCOME && membership.answers(peer)) {
        transport.answerBy(peer.index(), connection);
      }
      if (header.kind != MessageKind.CHUNK) {
        if (payloadBytes > ControlMessage.PAYLOAD_BYTES_MAX) {
          node.drop();
          return Transport.Landing.DISCARD;
        }
        if (header.grants()) {
          peer.arrive(MessageKind.GRANT, header.channel, header.granted(), 0);
        }
        return peer.arrive(header.kind, header.channel, header.step, payloadBytes);
      }
      Channel channel = openings.channel(header.channel);
      if (channel == null || payloadBytes == 0) {
        node.drop();
        return Transport.Landing.DISCARD;
      }
      if (header.begins()) {
        peer.arrive(MessageKind.START, header.channel, header.step, 0);
      }
      return channel.chunk(header, peer);
    }

    /** Whether a message shows what the peer was told that it must. */
    private boolean mayBeOf(Peer peer) {
      return switch (header.kind) {
        case HELLO -> true;
        case WELCOME, CLAIM, UNCLAIM, READY, PING, PONG -> header.pass == peer.pass();
        case CHUNK -> {
          // The others are asked by their number, which takes memory.
          Channel channel = openings.channel(header.channel);
          yield channel != null && channel.passes().admits(peer.host(), header.pass);
        }
        default -> node.passes().admits(header.channel, peer.host(), header.pass);
      };
    }

    @Override
    public void onPeerLost(int index, String reason) {
      Peer peer = node.peers().ofIndex(index);
      if (peer != null) {
        inbox.add(() -> membership.lose(peer, reason));
      }
    }
  }
}
