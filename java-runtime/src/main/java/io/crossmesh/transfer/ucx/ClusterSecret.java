package io.crossmesh.transfer.ucx;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * What all agents of a cluster know and nobody else: proofs that both ends of a connection know it,
 * bound to the connection by a nonce of each end. Each use has a name of its own in what is signed,
 * so that no proof of one can be shown as another.
 */
public final class ClusterSecret {
  static final int NONCE_BYTES = 32;
  static final int PROOF_BYTES = 32;

  private static final String ALGORITHM = "HmacSHA256";
  private static final String KEY = "crossmesh ucx door, version 1";

  private final SecretKeySpec key;

  private ClusterSecret(SecretKeySpec key) {
    this.key = key;
  }

  /** The secret of those who share a token; the token itself is in no proof. */
  public static ClusterSecret of(String token) {
    byte[] bytes = token.getBytes(StandardCharsets.UTF_8);
    // A key is not empty.
    byte[] padded = ByteBuffer.allocate(bytes.length + 1).put(bytes).array();
    byte[] derived =
        mac(new SecretKeySpec(padded, ALGORITHM), KEY.getBytes(StandardCharsets.UTF_8));
    return new ClusterSecret(new SecretKeySpec(derived, ALGORITHM));
  }

  /** A connection to be: its number and what both ends have drawn for it. */
  static final class Meeting {
    private final long link;
    private final byte[] caller;
    private final byte[] called;

    /**
     * @param link its number
     * @param caller the nonce of the end that calls; nobody changes it
     * @param called the nonce of the end that was called; nobody changes it
     */
    Meeting(long link, byte[] caller, byte[] called) {
      this.link = link;
      this.caller = caller;
      this.called = called;
    }

    byte[] called() {
      return called;
    }
  }

  /** What the end that was called shows. */
  byte[] ofCalled(Meeting meeting) {
    return sign("called", meeting);
  }

  /** What the end that calls shows. */
  byte[] ofCaller(Meeting meeting) {
    return sign("caller", meeting);
  }

  /** The number that the messages of the connection carry: nobody else can know it beforehand. */
  long label(Meeting meeting) {
    return ByteBuffer.wrap(sign("label", meeting)).getLong();
  }

  /** Compares in a time that does not tell where two proofs differ. */
  static boolean same(byte[] expected, byte[] shown) {
    return MessageDigest.isEqual(expected, shown);
  }

  private byte[] sign(String what, Meeting meeting) {
    byte[] name = what.getBytes(StandardCharsets.UTF_8);
    return mac(
        key,
        ByteBuffer.allocate(1 + name.length + Long.BYTES + 2 * NONCE_BYTES)
            .put((byte) name.length)
            .put(name)
            .putLong(meeting.link)
            .put(meeting.caller, 0, NONCE_BYTES)
            .put(meeting.called, 0, NONCE_BYTES)
            .array());
  }

  private static byte[] mac(SecretKeySpec key, byte[] message) {
    try {
      Mac mac = Mac.getInstance(ALGORITHM);
      mac.init(key);
      return mac.doFinal(message);
    } catch (GeneralSecurityException e) {
      throw new IllegalStateException("every Java has " + ALGORITHM, e);
    }
  }
}
