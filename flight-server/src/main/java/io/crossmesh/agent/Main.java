package io.crossmesh.agent;

import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.PeerAddress;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * The process: {@code agent} moves tensors of one host, {@code planner} only plans.
 *
 * <p>Nothing is printed on standard output except what {@code --help} and {@code --version} ask
 * for; how to reach the process stands in its private info file.
 */
@Command(
    name = "crossmesh",
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
    Mistakes.attach(line);
    line.getSubcommands().values().stream()
        .filter(command -> command.getCommand() instanceof AgentCommand)
        .forEach(
            command -> {
              ConfigOption.attach(command);
              OptionGroups.attach(command);
            });
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
      description = "Moves the tensors of one host until it is stopped.",
      mixinStandardHelpOptions = true,
      abbreviateSynopsis = true,
      usageHelpWidth = 110,
      versionProvider = Version.class)
  static final class AgentCommand implements Callable<Integer> {
    @Mixin private AgentOptions options = new AgentOptions();

    @Spec private CommandSpec spec = CommandSpec.create();

    AgentConfig freeze(Map<String, String> environment) {
      return options.freeze(environment);
    }

    @Override
    public Integer call() throws InterruptedException {
      AgentConfig config;
      try {
        config = freeze(System.getenv());
      } catch (CrossmeshException e) {
        throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
      }
      return live(
          config.exitWithStdin(),
          lifetime ->
              Carrier.await(config, lifetime)
                  ? Optional.of(AgentProcess.start(config))
                  : Optional.empty());
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
      return live(exitWithStdin, _ -> Optional.of(PlannerProcess.start(infoFile)));
    }
  }

  /** Starts what the process is for; empty if the process is to end before. */
  private interface Starter {
    Optional<AutoCloseable> start(Lifetime lifetime) throws InterruptedException;
  }

  /** Runs it until the process is to end; its exit status. */
  private static int live(boolean exitWithStdin, Starter starter) throws InterruptedException {
    Lifetime lifetime = new Lifetime();
    lifetime.endWithSignals();
    if (exitWithStdin) {
      lifetime.endWith(System.in);
    }
    boolean started = false;
    try {
      Optional<AutoCloseable> process = starter.start(lifetime);
      if (process.isPresent()) {
        started = true;
        lifetime.runUntilEnd(process.get());
      }
      return 0;
    } finally {
      if (!started) {
        lifetime.nothingStarted();
      }
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
