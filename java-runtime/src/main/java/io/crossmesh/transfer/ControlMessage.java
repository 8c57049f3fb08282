package io.crossmesh.transfer;

/** A control message, taken off the wire or on its way to it. */
record ControlMessage(MessageKind kind, long channel, long step, byte[] payload) {
  static final byte[] NO_PAYLOAD = new byte[0];

  /** Largest payload of a control message; a claim of many thousand tensors fits. */
  static final int PAYLOAD_BYTES_MAX = 16 << 20;
}
