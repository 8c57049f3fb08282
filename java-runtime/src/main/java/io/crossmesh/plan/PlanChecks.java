package io.crossmesh.plan;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;

/** How this package refuses a request. */
final class PlanChecks {
  private static final int SHOWN = 64;

  private PlanChecks() {}

  static CrossmeshException layout(String message) {
    return new CrossmeshException(Code.LAYOUT, message);
  }

  /** Text from outside, cut so that a message stays readable. */
  static String brief(String text) {
    return text.length() <= SHOWN ? text : text.substring(0, SHOWN) + "...";
  }
}
