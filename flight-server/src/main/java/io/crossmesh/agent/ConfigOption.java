package io.crossmesh.agent;

import java.nio.file.Path;
import picocli.CommandLine;
import picocli.CommandLine.IParameterPreprocessor;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParameterException;

/**
 * {@code --config FILE}. Its values have to be known before defaults are applied, so it is read
 * while the command line is parsed, wherever it stands in it.
 */
final class ConfigOption {
  private ConfigOption() {}

  static void attach(CommandLine command) {
    CommandSpec spec = command.getCommandSpec();
    IParameterPreprocessor read =
        (arguments, self, option, info) -> {
          if (!arguments.isEmpty()) {
            String file = arguments.peek();
            try {
              spec.defaultValueProvider(ConfigFile.read(Path.of(file), self));
            } catch (IllegalArgumentException e) {
              throw new ParameterException(command, e.getMessage() + ".", e);
            }
          }
          return false;
        };
    spec.addOption(
        OptionSpec.builder("--config")
            .paramLabel("FILE")
            .type(Path.class)
            .description("Properties file: a key is a long option without its dashes.")
            .preprocessor(read)
            .build());
  }
}
