package io.crossmesh.agent;

import io.crossmesh.FileFailures;
import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.IDefaultValueProvider;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * Options from a file of Java properties: a key is a long option without its dashes, {@code
 * arena=4GiB}; several peers are separated by commas. The command line wins over the file.
 */
final class ConfigFile implements IDefaultValueProvider {
  private static final long SIZE_MAX_BYTES = 1 << 20;

  private final Properties values;

  private ConfigFile(Properties values) {
    this.values = values;
  }

  /**
   * Reads a file and refuses keys that are no options of this command, so that a slip of the pen is
   * not a silent default.
   */
  static ConfigFile read(Path path, CommandLine.Model.CommandSpec command) {
    Properties values = new Properties();
    try {
      if (Files.size(path) > SIZE_MAX_BYTES) {
        throw new IllegalArgumentException(path + " is larger than a configuration can be");
      }
      try (Reader reader = Files.newBufferedReader(path, StandardCharsets.UTF_8)) {
        values.load(reader);
      }
    } catch (IOException e) {
      throw new IllegalArgumentException(
          "cannot read the configuration " + path + ": " + FileFailures.reason(e), e);
    }
    Set<String> unknown = new TreeSet<>(values.stringPropertyNames());
    for (OptionSpec option : command.options()) {
      unknown.remove(key(option));
    }
    if (!unknown.isEmpty()) {
      throw new IllegalArgumentException(
          "%s has unknown keys %s; a key is a long option without its dashes, as in arena=4GiB"
              .formatted(path, unknown));
    }
    return new ConfigFile(values);
  }

  @Override
  public @Nullable String defaultValue(ArgSpec argument) {
    return argument instanceof OptionSpec option ? values.getProperty(key(option)) : null;
  }

  private static String key(OptionSpec option) {
    return option.longestName().substring(2);
  }
}
