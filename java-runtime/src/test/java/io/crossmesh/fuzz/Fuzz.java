package io.crossmesh.fuzz;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;
import java.util.function.Predicate;
import java.util.stream.Stream;

/**
 * Damaged inputs for all targets, from the command line: {@code inputs=N}, of all targets together,
 * and {@code seed=S}.
 */
public final class Fuzz {
  private Fuzz() {}

  public static void main(String[] args) throws IOException {
    long inputs = number(args, "inputs", 1_000_000);
    long seed = number(args, "seed", 1);
    System.out.println("damaged inputs by seed " + seed);
    System.out.println(Watch.head());
    long total = 0;
    Path directory = Files.createTempDirectory("crossmesh-fuzz");
    try {
      for (Watch done : all(targets(directory, provider -> true), inputs, seed)) {
        total += done.inputs();
      }
    } finally {
      remove(directory);
    }
    System.out.printf("%d inputs, none of which broke anything%n", total);
  }

  /**
   * Gives targets damaged inputs, in equal shares, and prints a line for each.
   *
   * @return what each did
   */
  static List<Watch> all(List<FuzzTarget> targets, long inputs, long seed) {
    List<Watch> watches = new ArrayList<>();
    long share = (inputs + targets.size() - 1) / targets.size();
    for (FuzzTarget target : targets) {
      try (target) {
        Watch watch = new Watch(target);
        target.valid().forEach(target.reader()::read);
        Inputs damaged = new Inputs(target, seed);
        while (watch.inputs() < share) {
          watch.read(damaged.next(), "seed " + seed + ", input " + watch.inputs());
        }
        System.out.println(watch.line());
        watches.add(watch);
      }
    }
    return watches;
  }

  /** The targets of those on the class path who provide some. */
  static List<FuzzTarget> targets(Path directory, Predicate<FuzzTargets> providers) {
    List<FuzzTarget> targets = new ArrayList<>();
    for (FuzzTargets some : ServiceLoader.load(FuzzTargets.class)) {
      if (providers.test(some)) {
        targets.addAll(some.open(directory));
      }
    }
    return targets;
  }

  private static long number(String[] args, String name, long otherwise) {
    for (String arg : args) {
      if (arg.startsWith(name + "=") && arg.length() > name.length() + 1) {
        return Long.parseLong(arg.substring(name.length() + 1));
      }
    }
    return otherwise;
  }

  static void remove(Path directory) throws IOException {
    try (Stream<Path> files = Files.walk(directory)) {
      for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(file);
      }
    }
  }
}
