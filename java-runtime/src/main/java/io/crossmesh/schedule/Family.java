package io.crossmesh.schedule;

import io.crossmesh.CrossmeshException;
import java.util.Arrays;
import java.util.stream.Collectors;

/** The schedules there are. */
public enum Family {
  /** All forwards, then all backwards (Huang et al., GPipe, arXiv 1811.06965). */
  GPIPE("gpipe"),
  /**
   * One forward, one backward, as few activations as can keep all stages busy (PipeDream-Flush).
   */
  ONE_F_ONE_B("1f1b"),
  /** 1F1B that runs forwards earlier, so that transfers have time (arXiv 2211.05322, section 4). */
  EAGER_1F1B("eager-1f1b"),
  /** 1F1B over several parts of the model on each stage (Narayanan et al., arXiv 2104.04473). */
  INTERLEAVED_1F1B("interleaved-1f1b"),
  /** 1F1B with weight gradients apart, at the memory of 1F1B (Qi et al., arXiv 2401.10241). */
  ZB_H1("zb-h1"),
  /** Chosen for the times that are stated; see {@link Adaptive}. */
  ADAPTIVE("adaptive"),
  /** Operation lists that somebody else made. */
  CUSTOM("custom");

  private final String id;

  Family(String id) {
    this.id = id;
  }

  /** Its name in requests and documents. */
  public String id() {
    return id;
  }

  /** The schedule of that name. */
  public static Family of(String id) {
    return Arrays.stream(values())
        .filter(family -> family.id.equals(id))
        .findFirst()
        .orElseThrow(() -> unknown(id));
  }

  private static CrossmeshException unknown(String id) {
    return Refusal.of(
        "There is no schedule \"%s\"; the schedules are %s."
            .formatted(
                id.length() <= 40 ? id : id.substring(0, 40) + "...",
                Arrays.stream(values())
                    .filter(family -> family != CUSTOM)
                    .map(Family::id)
                    .collect(Collectors.joining(", "))));
  }
}
