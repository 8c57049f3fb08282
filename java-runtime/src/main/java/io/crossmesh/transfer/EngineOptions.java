package io.crossmesh.transfer;

import io.crossmesh.plan.Plan;
import io.crossmesh.plan.PlanRequest;
import io.crossmesh.plan.Planner;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * The few knobs of an engine.
 *
 * @param planner how this host plans
 * @param planning where it plans; a large plan on the owner thread would hold up other channels
 * @param reserving where it reserves memory; many pages on the owner thread would silence the host
 * @param coldBytesMax how much memory that has no pages yet the owner thread reserves itself
 * @param chunksInFlight window of each channel to each next host
 * @param copyBytesPerTurn how much a channel copies inside the host before others have a turn
 * @param checksums whether chunks carry a CRC32C from the tile that they leave to the one where
 *     they land
 * @param spares whether a tile that only one source host stages, and another holds as well, is
 *     staged there too, so that steps survive the loss of the first
 * @param silenceNanos how long nothing may come of a host that shares a channel with this one
 *     before it is lost, though its connection stands
 * @param contacts what is known of the way to other hosts, for messages
 */
public record EngineOptions(
    Function<PlanRequest, Plan> planner,
    Consumer<Runnable> planning,
    Consumer<Runnable> reserving,
    long coldBytesMax,
    int chunksInFlight,
    long copyBytesPerTurn,
    boolean checksums,
    boolean spares,
    long silenceNanos,
    Contacts contacts) {
  /** Default of {@link #coldBytesMax}: less than a millisecond. */
  public static final long COLD_BYTES_MAX = 1 << 20;

  /** Default of {@link #chunksInFlight}. */
  public static final int CHUNKS_IN_FLIGHT = 8;

  /** Default of {@link #copyBytesPerTurn}. */
  public static final long COPY_BYTES_PER_TURN = 4 << 20;

  /** Default of {@link #silenceNanos}. */
  public static final long SILENCE_NANOS = TimeUnit.SECONDS.toNanos(15);

  public EngineOptions {
    if (silenceNanos < Heartbeats.BEATS) {
      throw new IllegalArgumentException("the silence of a lost host is too short");
    }
    if (chunksInFlight < 1 || copyBytesPerTurn < 1) {
      throw new IllegalArgumentException("windows and turns must be at least 1");
    }
  }

  /** The defaults, planning and reserving on the owner thread. */
  public static EngineOptions defaults() {
    return new EngineOptions(
        Planner::plan,
        Runnable::run,
        Runnable::run,
        COLD_BYTES_MAX,
        CHUNKS_IN_FLIGHT,
        COPY_BYTES_PER_TURN,
        false,
        true,
        SILENCE_NANOS,
        Contacts.none());
  }

  /** The same, planning elsewhere. */
  public EngineOptions withPlanning(Consumer<Runnable> executor) {
    return new EngineOptions(
        planner,
        executor,
        reserving,
        coldBytesMax,
        chunksInFlight,
        copyBytesPerTurn,
        checksums,
        spares,
        silenceNanos,
        contacts);
  }

  /** The same, reserving memory elsewhere if more than so much has no pages. */
  public EngineOptions withReserving(Consumer<Runnable> executor, long coldBytes) {
    return new EngineOptions(
        planner,
        planning,
        executor,
        coldBytes,
        chunksInFlight,
        copyBytesPerTurn,
        checksums,
        spares,
        silenceNanos,
        contacts);
  }

  /** The same with another planner. */
  public EngineOptions withPlanner(Function<PlanRequest, Plan> other) {
    return new EngineOptions(
        other,
        planning,
        reserving,
        coldBytesMax,
        chunksInFlight,
        copyBytesPerTurn,
        checksums,
        spares,
        silenceNanos,
        contacts);
  }

  /** The same with or without checksums. */
  public EngineOptions withChecksums(boolean on) {
    return with(on, spares, silenceNanos);
  }

  /** The same with or without spares. */
  public EngineOptions withSpares(boolean on) {
    return with(checksums, on, silenceNanos);
  }

  /** The same with another {@link #silenceNanos}. */
  public EngineOptions withSilence(long nanos) {
    return with(checksums, spares, nanos);
  }

  private EngineOptions with(boolean checked, boolean spared, long silence) {
    return new EngineOptions(
        planner,
        planning,
        reserving,
        coldBytesMax,
        chunksInFlight,
        copyBytesPerTurn,
        checked,
        spared,
        silence,
        contacts);
  }

  /** The same with other {@link #contacts}. */
  public EngineOptions withContacts(Contacts known) {
    return new EngineOptions(
        planner,
        planning,
        reserving,
        coldBytesMax,
        chunksInFlight,
        copyBytesPerTurn,
        checksums,
        spares,
        silenceNanos,
        known);
  }
}
