package io.crossmesh.transfer;

import java.lang.foreign.MemorySegment;

/**
 * Carries messages of a fixed header and a payload between agents. Every method but {@link
 * #wakeup()} is called by one thread, the owner; every callback runs on that thread too, inside
 * {@link #progress()}, {@link #send} or {@link #disconnect}.
 *
 * <p>What the engine relies on:
 *
 * <ul>
 *   <li>Messages of one sender reach {@link Handler#onMessage} in the order in which they were
 *       sent, bulk and control taken apart, but for bulk that begins a step, which keeps its place
 *       among both; the payload of an earlier one may land after a later one's.
 *   <li>Each send ends in exactly one call of {@link SendDone}, each accepted payload in exactly
 *       one of {@link Landing#landed()} and {@link Landing#failed}; also when the peer is lost,
 *       after {@link #disconnect} and at {@link #close()}. Until then the memory is in use.
 *   <li>A lost peer is reported once; nothing of it arrives after that.
 * </ul>
 *
 * Transports never look into headers, but to see that all messages of a connection are of one agent
 * ({@link Speaker}).
 */
public interface Transport extends AutoCloseable {
  /** Begins to accept messages. Called once, before anything else. */
  void start(Handler handler);

  /**
   * Where peers reach this transport; opaque to everybody but {@link #connect} of the same kind.
   */
  String address();

  /**
   * Prepares to send to a peer. May complete lazily; failure is told by {@link Handler#onPeerLost}.
   *
   * @param peer a small number chosen by the engine, never used twice
   */
  void connect(int peer, String address);

  /** Gives a peer up; what is in flight to it ends. Unknown numbers are ignored. */
  void disconnect(int peer);

  /**
   * Gives a peer up that does not answer: as {@link #disconnect}, without a goodbye.
   *
   * @param peer unknown numbers are ignored
   */
  void abandon(int peer);

  /**
   * Ends a connection by which messages came: nothing more of it arrives, and what is landing
   * fails, soon. Unknown and ended ones are ignored. A peer that answers ({@link #answerBy}) by the
   * connection to it is abandoned before.
   *
   * @param connection as {@link Handler#onMessage} was told
   */
  void sever(long connection);

  /**
   * Allows messages to a peer to go by the connection that its own come by, from the next one on;
   * they may then fail with that one, as the peer is lost with it. A transport need not make use of
   * it.
   *
   * @param peer unknown numbers are ignored
   * @param connection as {@link Handler#onMessage} was told; ended ones are ignored
   */
  default void answerBy(int peer, long connection) {}

  /**
   * Sends one message.
   *
   * @param header {@link WireHeader#BYTES} bytes, copied before this returns
   * @param payload native memory that stays as it is until {@code done}; may be empty
   * @param bulk whether it counts as tensor bytes
   * @param done may be called before this returns
   */
  void send(int peer, MemorySegment header, MemorySegment payload, boolean bulk, SendDone done);

  /** Runs callbacks of what has happened; 0 when nothing had. */
  int progress();

  /** Sleeps until an event, {@link #wakeup()} or the limit, whichever comes first. */
  void awaitEvent(long timeoutNanos);

  /** Ends a present or the next {@link #awaitEvent}. Any thread may call it. */
  void wakeup();

  /** What was sent and received since the start. */
  Counters counters();

  /** Releases everything; a second call does nothing. */
  @Override
  void close();

  /** How a send ended. */
  interface SendDone {
    /** The payload's memory may be used again. */
    void sent();

    /** As {@link #sent()}, but the message may not have arrived. */
    void failed(String reason);
  }

  /** The receiving side; called by the owner thread. */
  interface Handler {
    /**
     * Called once for each message.
     *
     * @param connection by which it came: other for each {@link #connect} of each sender
     * @param header valid only during the call
     * @return where the payload goes; not used when {@code payloadBytes} is 0
     */
    Landing onMessage(long connection, MemorySegment header, long payloadBytes);

    /** Nothing can be sent to this peer any more. */
    void onPeerLost(int peer, String reason);
  }

  /** The place of one payload. */
  interface Landing {
    /** Takes the payload and throws it away; transports need not ask it for memory. */
    Landing DISCARD = new DiscardLanding();

    /**
     * Whether a payload that waits at its sender may be fetched now; asked once, before {@link
     * #segment()}. If not, it goes on waiting there, in its sender's window.
     *
     * @param fetch run once, by the owner thread, when it may; unless it has failed before
     */
    boolean ready(Runnable fetch);

    /** Native memory of exactly the payload's size. Not asked of {@link #DISCARD}. */
    MemorySegment segment();

    /**
     * The payload has come with its header. Called instead of all others but {@link #bulk()}.
     *
     * @param payload valid only during the call
     */
    void arrived(MemorySegment payload);

    /** Whether it counts as tensor bytes. */
    boolean bulk();

    /** The payload is there. */
    void landed();

    /** The payload will not come; the memory is free again. */
    void failed(String reason);
  }
}
