package io.crossmesh.agent;

import io.crossmesh.CrossmeshException;
import java.io.PrintWriter;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.TypeConversionException;
import picocli.CommandLine.UnmatchedArgumentException;

/** What a wrong command line is answered with: one line that names the option, and a hint. */
final class Mistakes {
  /** How picocli wraps what a converter says. */
  private static final Pattern CONVERSION =
      Pattern.compile("cannot convert '(.*)' to \\w+ \\([\\w.$]+: (.*)\\)", Pattern.DOTALL);

  private Mistakes() {}

  static void attach(CommandLine line) {
    line.registerConverter(Integer.class, Mistakes::whole);
    line.registerConverter(int.class, Mistakes::whole);
    line.registerConverter(double.class, Mistakes::number);
    line.setParameterExceptionHandler((mistake, arguments) -> answer(mistake));
    line.setExecutionExceptionHandler(
        (failure, command, parsed) -> {
          if (failure instanceof CrossmeshException known) {
            command.getErr().println(known.code().pythonName() + ": " + known.getMessage());
          } else {
            failure.printStackTrace(command.getErr());
          }
          return CommandLine.ExitCode.SOFTWARE;
        });
  }

  private static int answer(ParameterException mistake) {
    CommandLine command = mistake.getCommandLine();
    String name = command.getCommandSpec().qualifiedName();
    PrintWriter errors = command.getErr();
    errors.println(name + ": " + text(mistake));
    errors.println("Try '%s --help'.".formatted(name));
    return CommandLine.ExitCode.USAGE;
  }

  private static String text(ParameterException mistake) {
    Matcher wrapped = CONVERSION.matcher(String.valueOf(mistake.getMessage()));
    StringBuilder text = new StringBuilder(wrapped.replaceAll("$2").lines().findFirst().orElse(""));
    if (mistake instanceof UnmatchedArgumentException unknown) {
      List<String> near = unknown.getSuggestions();
      if (!near.isEmpty()) {
        text.append(". Is it ").append(String.join(" or ", near)).append("?");
      }
    }
    if (!text.toString().endsWith(".") && !text.toString().endsWith("?")) {
      text.append(".");
    }
    return text.toString();
  }

  private static int whole(String text) {
    try {
      return Integer.parseInt(text.strip());
    } catch (NumberFormatException e) {
      throw new TypeConversionException("'%s' is not a whole number".formatted(text));
    }
  }

  private static double number(String text) {
    try {
      return Double.parseDouble(text.strip());
    } catch (NumberFormatException e) {
      throw new TypeConversionException("'%s' is not a number".formatted(text));
    }
  }
}
