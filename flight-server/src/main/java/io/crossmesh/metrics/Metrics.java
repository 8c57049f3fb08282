package io.crossmesh.metrics;

import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.EngineStatus;
import io.crossmesh.transfer.Participant;
import java.util.EnumMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.BiFunction;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Everything an agent counts. Meters carry the host's name as the label {@code host}.
 *
 * <p>The library behind it costs a tenth of the agent's start, so it is woken by whoever needs it
 * first: {@link #prepare()} beside the start, a channel, or a scrape.
 */
public final class Metrics implements AutoCloseable {
  private final String host;
  private final LongSupplier clock;
  private final Map<Refused, LongAdder> refused = new EnumMap<>(Refused.class);
  private Transport transport = new Transport("none", "");
  private @Nullable Meters meters;

  private record Transport(String name, String version) {}

  /**
   * @param host the agent's name
   * @param clock nanoseconds
   */
  public Metrics(String host, LongSupplier clock) {
    this.host = host;
    this.clock = clock;
    for (Refused wrong : Refused.values()) {
      refused.put(wrong, new LongAdder());
    }
  }

  /** By what the agent moves bytes; said once, before anything is measured. */
  public synchronized void transport(String name, String version) {
    transport = new Transport(name, version);
  }

  /** Makes the meters, so that nobody has to wait for them later. */
  public void prepare() {
    meters();
  }

  /** Opens a channel whose steps are timed, and counted by how they end. */
  public ChannelHandle open(
      BiFunction<ChannelOpen, Participant, ChannelHandle> engine,
      ChannelOpen request,
      Participant participant) {
    return meters().transfers().open(engine, request, participant);
  }

  /** Somebody was turned away at a door. */
  public void refused(Refused wrong) {
    count(wrong).increment();
  }

  /** How many were turned away, by what was wrong. */
  public SortedMap<String, Long> refused() {
    SortedMap<String, Long> counts = new TreeMap<>();
    for (Refused wrong : Refused.values()) {
      counts.put(wrong.label(), count(wrong).sum());
    }
    return counts;
  }

  private LongAdder count(Refused wrong) {
    return Objects.requireNonNull(refused.get(wrong));
  }

  /**
   * The numbers in Prometheus' text format, behind a reading of the engine.
   *
   * @param engine a new reading; empty without a transport
   */
  public Supplier<String> page(Supplier<Optional<EngineStatus>> engine) {
    return () -> meters().page(engine.get());
  }

  private synchronized Meters meters() {
    Meters present = meters;
    if (present == null) {
      present = new Meters(host, clock, refused);
      present.transport(transport.name, transport.version);
      meters = present;
    }
    return present;
  }

  @Override
  public synchronized void close() {
    Meters present = meters;
    if (present != null) {
      present.close();
    }
  }
}
