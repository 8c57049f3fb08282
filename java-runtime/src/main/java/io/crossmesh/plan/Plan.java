package io.crossmesh.plan;

import java.util.Collections;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * A proven plan: each element of each destination tile is in exactly one move that its device
 * receives, from a device that holds it.
 *
 * @param request what was asked, with its topology
 * @param chosen strategy and chunk size of each tensor
 * @param tasks the unit tasks, by tensor and then row-major
 * @param moves in the order in which senders should start them
 * @param makespan predicted end of the last move, in seconds
 * @param lowerBound no plan can end before this: bytes over bandwidth only, in seconds
 * @param bytesSent bytes that leave each host over its NICs; all hosts of both meshes are listed
 * @param bytesReceived bytes that reach each host over its NICs
 * @param digest SHA-256 of the request and the moves without their times, 64 hexadecimal digits
 */
public record Plan(
    PlanRequest request,
    List<Chosen> chosen,
    List<UnitTask> tasks,
    List<Move> moves,
    double makespan,
    double lowerBound,
    SortedMap<String, Long> bytesSent,
    SortedMap<String, Long> bytesReceived,
    String digest) {
  /** Most unit tasks of a plan. */
  public static final int MAX_TASKS = 1 << 21;

  /** Most moves of a plan. */
  public static final int MAX_MOVES = 1 << 21;

  /** Most (move, receiving device) pairs of a plan. */
  public static final int MAX_DELIVERIES = 1 << 24;

  public Plan {
    chosen = List.copyOf(chosen);
    tasks = List.copyOf(tasks);
    moves = List.copyOf(moves);
    bytesSent = Collections.unmodifiableSortedMap(new TreeMap<>(bytesSent));
    bytesReceived = Collections.unmodifiableSortedMap(new TreeMap<>(bytesReceived));
  }

  /** The same plan for a request that differs in the names of axes at most. */
  Plan of(PlanRequest same) {
    return new Plan(
        same, chosen, tasks, moves, makespan, lowerBound, bytesSent, bytesReceived, digest);
  }

  /** {@code makespan / lowerBound - 1}; 0 when no NIC is crossed. */
  public double gap() {
    return lowerBound == 0 ? 0 : makespan / lowerBound - 1;
  }

  /** When the last byte of each tensor has arrived, in seconds; 0 if it crosses no NIC. */
  public List<Double> finish() {
    return Finish.of(request.tensors().size(), moves);
  }

  /** By how many seconds the tensor that misses its deadline most does so; 0 if none does. */
  public double lateness() {
    return Finish.lateness(request.tensors(), finish());
  }
}
