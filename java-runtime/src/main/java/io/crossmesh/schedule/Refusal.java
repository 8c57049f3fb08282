package io.crossmesh.schedule;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;

/** How this package refuses what it is asked for: always {@link Code#SCHEDULE} and a remedy. */
final class Refusal {
  private Refusal() {}

  static CrossmeshException of(String message) {
    return new CrossmeshException(Code.SCHEDULE, message);
  }

  /** A number as people write it: without a trailing ".0". */
  static String plain(double value) {
    return value == Math.rint(value) && Math.abs(value) < 1e15
        ? Long.toString((long) value)
        : Double.toString(value);
  }
}
