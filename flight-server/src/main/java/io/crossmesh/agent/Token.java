package io.crossmesh.agent;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.HexFormat;

/**
 * A secret that opens a door. Compared in time that does not depend on where two tokens differ, and
 * never printed.
 */
public final class Token {
  /** The shortest and longest token that is accepted from a person, in characters. */
  public static final int LENGTH_MIN = 8;

  public static final int LENGTH_MAX = 1024;

  private static final int GENERATED_BYTES = 32;

  private final String value;
  private final byte[] digest;

  private Token(String value) {
    this.value = value;
    this.digest = sha256(value);
  }

  /**
   * A token that somebody chose.
   *
   * @throws IllegalArgumentException if it is too short, too long or not printable ASCII without
   *     spaces (it travels in an HTTP header)
   */
  public static Token of(String value) {
    if (value.length() < LENGTH_MIN || value.length() > LENGTH_MAX) {
      throw new IllegalArgumentException(
          "a token has %d to %d characters; make one with: openssl rand -hex 32"
              .formatted(LENGTH_MIN, LENGTH_MAX));
    }
    if (!value.chars().allMatch(c -> c > ' ' && c < 127)) {
      throw new IllegalArgumentException("a token is printable ASCII without spaces");
    }
    return new Token(value);
  }

  /** A new token of 256 random bits. */
  public static Token generate() {
    byte[] bytes = new byte[GENERATED_BYTES];
    new SecureRandom().nextBytes(bytes);
    return new Token(HexFormat.of().formatHex(bytes));
  }

  /** Whether somebody presented this token. */
  public boolean matches(String presented) {
    // Digests have one length, so neither the length nor a common prefix shows in the time taken.
    return MessageDigest.isEqual(digest, sha256(presented));
  }

  /** The secret itself, for the private info file and for calls to other agents. */
  public String reveal() {
    return value;
  }

  @Override
  public String toString() {
    return "Token[hidden]";
  }

  private static byte[] sha256(String text) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
    } catch (java.security.NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JVM has SHA-256", e);
    }
  }
}
