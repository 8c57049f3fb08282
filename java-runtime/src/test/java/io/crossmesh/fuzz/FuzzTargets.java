package io.crossmesh.fuzz;

import java.nio.file.Path;
import java.util.List;

/** Provides targets; found by {@link java.util.ServiceLoader}. */
public interface FuzzTargets {
  /**
   * Makes the targets.
   *
   * @param directory for their files
   */
  List<FuzzTarget> open(Path directory);
}
