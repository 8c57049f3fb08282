package io.crossmesh.fuzz;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * The same targets for Jazzer, which finds its own inputs by what they make the code do: {@code
 * make fuzz-guided}. Jazzer calls the methods by their names.
 */
public final class Guided {
  private static final int DAMAGED_TO_BEGIN_WITH = 200;

  private static FuzzTarget target;
  private static Watch watch;

  private Guided() {}

  /** Writes a folder of inputs to begin with for each target, and prints their names. */
  public static void main(String[] args) throws IOException {
    Path corpus = Path.of(args[0]);
    Path directory = Files.createTempDirectory("crossmesh-fuzz");
    for (FuzzTarget each : Fuzz.targets(directory, provider -> true)) {
      Path folder = Files.createDirectories(corpus.resolve(file(each)));
      List<byte[]> valid = each.valid();
      for (int i = 0; i < valid.size(); i++) {
        Files.write(folder.resolve("valid-" + i), valid.get(i));
      }
      Inputs damaged = new Inputs(each, 1);
      for (int i = 0; i < DAMAGED_TO_BEGIN_WITH; i++) {
        Files.write(folder.resolve("damaged-" + i), damaged.next());
      }
      System.out.println(file(each));
      each.close();
    }
    Fuzz.remove(directory);
  }

  private static String file(FuzzTarget target) {
    return target.name().replace(' ', '-');
  }

  /** Makes the target of this process. */
  public static void fuzzerInitialize(String[] args) throws IOException {
    Path directory = Files.createTempDirectory("crossmesh-fuzz");
    for (FuzzTarget each : Fuzz.targets(directory, provider -> true)) {
      if (file(each).equals(args[0])) {
        target = each;
      }
    }
    watch = new Watch(target);
    Runtime.getRuntime()
        .addShutdownHook(new Thread(() -> System.err.println("GUIDED " + watch.line())));
  }

  /** One input. */
  public static void fuzzerTestOneInput(byte[] input) {
    watch.read(input, "found by its coverage");
  }
}
