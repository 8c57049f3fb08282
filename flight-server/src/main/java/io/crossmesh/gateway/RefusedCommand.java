package io.crossmesh.gateway;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import py4j.Py4JException;
import py4j.commands.AbstractCommand;

/** Stands in for every command of Py4J that would reach beyond the entry point. */
abstract sealed class RefusedCommand extends AbstractCommand {

  RefusedCommand(String name) {
    commandName = name;
  }

  /**
   * Refuses. The exception makes Py4J send the message and close the connection, so nothing that
   * follows on it is read in a wrong place.
   */
  @Override
  public void execute(String command, BufferedReader reader, BufferedWriter writer)
      throws Py4JException {
    throw new Py4JException("this gateway answers calls of its entry point only");
  }

  /** Arrays. */
  public static final class Arrays extends RefusedCommand {
    public Arrays() {
      super("a");
    }
  }

  /** Constructors. */
  public static final class Constructors extends RefusedCommand {
    public Constructors() {
      super("i");
    }
  }

  /** Names of members. */
  public static final class Directory extends RefusedCommand {
    public Directory() {
      super("d");
    }
  }

  /** Exceptions' stack traces. */
  public static final class Exceptions extends RefusedCommand {
    public Exceptions() {
      super("p");
    }
  }

  /** Fields. */
  public static final class Fields extends RefusedCommand {
    public Fields() {
      super("f");
    }
  }

  /** Help pages. */
  public static final class Help extends RefusedCommand {
    public Help() {
      super("h");
    }
  }

  /** Imports and views. */
  public static final class Views extends RefusedCommand {
    public Views() {
      super("j");
    }
  }

  /** Lists. */
  public static final class Lists extends RefusedCommand {
    public Lists() {
      super("l");
    }
  }

  /** Forgetting of objects, of which there are none to forget. */
  public static final class Memory extends RefusedCommand {
    public Memory() {
      super("m");
    }
  }

  /** Reflection: classes and static members by name. */
  public static final class Reflection extends RefusedCommand {
    public Reflection() {
      super("r");
    }
  }

  /** Streams of bytes. */
  public static final class Streams extends RefusedCommand {
    public Streams() {
      super("S");
    }
  }

  /** Ending the server: an agent ends with its standard input or by a signal. */
  public static final class Shutdown extends RefusedCommand {
    public Shutdown() {
      super("s");
    }
  }
}
