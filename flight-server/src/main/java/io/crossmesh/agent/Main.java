package io.crossmesh.agent;

import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.PeerAddress;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;

/**
 * The process: {@code agent} moves tensors of one host, {@code planner} only plans.
 *
 * <p>Nothing is printed on standard output except what {@code --help} and {@code --version} ask
 * for; how to reach the process stands in its private info file.
 */
@Command(
    name = "crossmesh-agent",
    description = "Moves sharded tensors between device meshes.",
    mixinStandardHelpOptions = true,
    versionProvider = Main.Version.class,
    synopsisSubcommandLabel = "(agent | planner)",
    subcommands = {Main.AgentCommand.class, Main.PlannerCommand.class})
public final class Main implements Callable<Integer> {

  private Main() {}

  /** Runs a command and exits with its status: 0 well, 1 could not start, 2 wrong options. */
  public static void main(String[] arguments) {
    QuietLogging.apply();
    // Threads of libraries must not keep the process alive after the orderly end.
    System.exit(commandLine().execute(arguments));
  }

  static CommandLine commandLine() {
    CommandLine line = new CommandLine(new Main());
    line.setCaseInsensitiveEnumValuesAllowed(true);
    line.registerConverter(DataSize.class, DataSize::parse);
    line.registerConverter(PeerAddress.class, AgentConfig::peer);
    line.setExecutionExceptionHandler(
        (failure, command, parsed) -> {
          if (failure instanceof CrossmeshException known) {
            command.getErr().println(known.code().pythonName() + ": " + known.getMessage());
          } else {
            failure.printStackTrace(command.getErr());
          }
          return 1;
        });
    line.getSubcommands().values().stream()
        .filter(command -> command.getCommand() instanceof AgentCommand)
        .forEach(ConfigOption::attach);
    return line;
  }

  @Override
  public Integer call() {
    throw new ParameterException(
        new CommandLine(this), "say what to run: 'agent' or 'planner' (--help explains)");
  }

  /** One agent. */
  @Command(
      name = "agent",
      description = "Moves the tensors of one host.",
      mixinStandardHelpOptions = true,
      versionProvider = Version.class)
  static final class AgentCommand implements Callable<Integer> {
    @Mixin private AgentOptions options = new AgentOptions();

    AgentConfig freeze(Map<String, String> environment) {
      return options.freeze(environment);
    }

    @Override
    public Integer call() throws InterruptedException {
      AgentConfig config = freeze(System.getenv());
      Lifetime lifetime = new Lifetime();
      lifetime.endWithSignals();
      if (config.exitWithStdin()) {
        lifetime.endWith(System.in);
      }
      lifetime.runUntilEnd(AgentProcess.start(config));
      return 0;
    }
  }

  /** A planner without an agent. */
  @Command(
      name = "planner",
      description = "Plans only: no transport, no Flight, no shared memory.",
      mixinStandardHelpOptions = true,
      versionProvider = Version.class)
  static final class PlannerCommand implements Callable<Integer> {
    @Option(
        names = "--info-file",
        required = true,
        paramLabel = "FILE",
        description = "Where to write port and token once ready (mode 0600).")
    private Path infoFile = Path.of("");

    @Option(
        names = "--exit-with-stdin",
        description = "End when standard input ends, as it does when the starter dies.")
    private boolean exitWithStdin;

    @Override
    public Integer call() throws InterruptedException {
      Lifetime lifetime = new Lifetime();
      lifetime.endWithSignals();
      if (exitWithStdin) {
        lifetime.endWith(System.in);
      }
      lifetime.runUntilEnd(PlannerProcess.start(infoFile));
      return 0;
    }
  }

  /** The version that the build wrote into the jar's manifest. */
  static final class Version implements CommandLine.IVersionProvider {
    static String current() {
      String version = Main.class.getPackage().getImplementationVersion();
      return version == null ? "unpacked" : version;
    }

    @Override
    public String[] getVersion() {
      return new String[] {"crossmesh-agent " + current()};
    }
  }
}
