package io.crossmesh.agent;

import java.security.SecureRandom;

/** Numbers that tell the lives of one agent apart. */
final class Epochs {
  private static final SecureRandom RANDOM = new SecureRandom();

  private Epochs() {}

  /** 63 random bits, not zero; JSON readers hold it exactly as an integer. */
  static long next() {
    long epoch = RANDOM.nextLong() >>> 1;
    return epoch == 0 ? 1 : epoch;
  }
}
