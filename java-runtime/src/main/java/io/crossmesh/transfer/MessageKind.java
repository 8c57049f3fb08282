package io.crossmesh.transfer;

/** What a message says. Codes are part of the wire format and are never used again for another. */
enum MessageKind {
  /** "I know you now": who I am, what I want to be shown; asks for the peer's open claims. */
  HELLO(1),
  /** A process of my host takes part in a channel to come. */
  CLAIM(2),
  /** A claim is void; whatever was bound to it has failed. */
  UNCLAIM(3),
  /** I have planned and reserved memory: here is my digest, and what I want to be shown. */
  READY(4),
  /** The channel is over. */
  CHANNEL_FAIL(5),
  /** A process of a source host has begun a step. */
  START(6),
  /** A landing set is reserved for a step. */
  GRANT(7),
  /** Every byte of a step has landed at my host. */
  DONE(8),
  /** A step is over for everybody. */
  STEP_FAIL(9),
  /** A process of my host takes part in no step after this one. */
  CLOSE(10),
  /** A chunk arrived damaged at my host, or will not come by its way: send it to me. */
  RESEND(11),
  /** A host of the channel is lost: my host begins no more steps, and ends when it has none. */
  LOST(12),
  /** My host will not have a step; others may. */
  GIVE_UP(13),
  /** My host does not have a chunk that it was asked for. */
  LACKS(14),
  /**
   * What a process of my host has staged in a step, by digests of the slices that land at yours.
   */
  DIGESTS(15),
  /** Bytes of a move. */
  CHUNK(16),
  /** I have not heard of you for a while: answer. */
  PING(17),
  /** I am there. */
  PONG(18),
  /** "I have heard your hello": what I want to be shown. */
  WELCOME(19),
  /** The channel that lost hosts is over at my host: what it has not sent will not come from it. */
  OVER(20);

  private static final MessageKind[] BY_CODE = new MessageKind[21];

  static {
    for (MessageKind kind : values()) {
      BY_CODE[kind.code] = kind;
    }
  }

  private final byte code;

  MessageKind(int code) {
    this.code = (byte) code;
  }

  byte code() {
    return code;
  }

  static boolean known(byte code) {
    return code >= 0 && code < BY_CODE.length && BY_CODE[code] != null;
  }

  static MessageKind of(byte code) {
    return BY_CODE[code];
  }
}
