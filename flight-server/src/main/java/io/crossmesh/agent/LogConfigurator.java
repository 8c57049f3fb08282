package io.crossmesh.agent;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.encoder.PatternLayoutEncoder;
import ch.qos.logback.classic.spi.Configurator;
import ch.qos.logback.classic.spi.ConfiguratorRank;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.ConsoleAppender;
import ch.qos.logback.core.spi.ContextAwareBase;

/**
 * Logging of the process: standard error, warnings and worse, and what is for people. {@code
 * CROSSMESH_LOG=debug} shows more of crossmesh's own. Code instead of logback.xml, whose parser
 * costs a tenth of the start.
 */
@ConfiguratorRank(ConfiguratorRank.CUSTOM_HIGH_PRIORITY)
public final class LogConfigurator extends ContextAwareBase implements Configurator {
  private static final String LEVEL_VARIABLE = "CROSSMESH_LOG";
  private static final String PATTERN =
      "%d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5level [%thread] %logger{24} - %msg%n";
  private static final String PEOPLES_PATTERN =
      "%d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5level crossmesh: %msg%n";

  @Override
  public ExecutionStatus configure(LoggerContext loggers) {
    Logger root = loggers.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME);
    root.setLevel(Level.WARN);
    root.addAppender(console(loggers, PATTERN));
    loggers
        .getLogger("io.crossmesh")
        .setLevel(Level.toLevel(System.getenv(LEVEL_VARIABLE), Level.WARN));
    Logger people = loggers.getLogger(PeopleLog.NAME);
    people.setLevel(Level.INFO);
    people.setAdditive(false);
    people.addAppender(console(loggers, PEOPLES_PATTERN));
    return ExecutionStatus.DO_NOT_INVOKE_NEXT_IF_ANY;
  }

  private static ConsoleAppender<ILoggingEvent> console(LoggerContext loggers, String pattern) {
    PatternLayoutEncoder encoder = new PatternLayoutEncoder();
    encoder.setContext(loggers);
    encoder.setPattern(pattern);
    encoder.start();
    ConsoleAppender<ILoggingEvent> console = new ConsoleAppender<>();
    console.setContext(loggers);
    console.setTarget("System.err");
    console.setEncoder(encoder);
    console.start();
    return console;
  }
}
