package io.crossmesh.agent;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The lines of the log that are for the people who run the agent: ready, peers come and gone. */
final class PeopleLog {
  /** Shown from INFO on, and without the names of classes. */
  static final String NAME = "crossmesh";

  private static final Logger LOG = LoggerFactory.getLogger(NAME);

  private PeopleLog() {}

  static void info(String line) {
    LOG.info(line);
  }

  static void warn(String line) {
    LOG.warn(line);
  }
}
