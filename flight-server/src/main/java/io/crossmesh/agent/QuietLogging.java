package io.crossmesh.agent;

import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Libraries that log through java.util.logging (gRPC, Py4J) speak only of errors. SLF4J is
 * configured by {@link LogConfigurator}.
 */
final class QuietLogging {
  // Held strongly: the log manager forgets levels of loggers that nobody refers to.
  private static final Logger ROOT = Logger.getLogger("");
  private static final Logger PY4J = Logger.getLogger("py4j");

  private QuietLogging() {}

  static void apply() {
    ROOT.setLevel(Level.SEVERE);
    // A trainer that dies resets its connections: no error of ours.
    PY4J.setLevel(Level.OFF);
  }
}
