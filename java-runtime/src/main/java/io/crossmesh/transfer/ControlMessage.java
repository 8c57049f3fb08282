package io.crossmesh.transfer;

/** A control message, taken off the wire or on its way to it. */
final class ControlMessage {
  static final byte[] NO_PAYLOAD = new byte[0];

  /** Largest payload of a control message; a claim of many thousand tensors fits. */
  static final int PAYLOAD_BYTES_MAX = 16 << 20;

  private final MessageKind kind;
  private final long channel;
  private final long step;
  private final byte[] payload;

  /**
   * @param payload nobody changes it any more
   */
  ControlMessage(MessageKind kind, long channel, long step, byte[] payload) {
    this.kind = kind;
    this.channel = channel;
    this.step = step;
    this.payload = payload;
  }

  MessageKind kind() {
    return kind;
  }

  long channel() {
    return channel;
  }

  long step() {
    return step;
  }

  byte[] payload() {
    return payload;
  }
}
