package io.crossmesh.metrics;

import io.crossmesh.transfer.EngineStatus;
import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.binder.jvm.JvmGcMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.util.Optional;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/** Everything an agent counts. Meters carry the host's name as the label {@code host}. */
public final class Metrics implements AutoCloseable {
  private final PrometheusMeterRegistry registry =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private final JvmGcMetrics collections = new JvmGcMetrics();
  private final TransferMeters transfers;
  private final Counter refusedAtFlight;

  /**
   * @param host the agent's name
   * @param clock nanoseconds
   */
  public Metrics(String host, LongSupplier clock) {
    registry.config().commonTags("host", host);
    collections.bindTo(registry);
    new JvmMemoryMetrics().bindTo(registry);
    new JvmThreadMetrics().bindTo(registry);
    new FileDescriptorMetrics().bindTo(registry);
    new UptimeMetrics().bindTo(registry);
    transfers = new TransferMeters(registry, clock);
    refusedAtFlight =
        Counter.builder("crossmesh.door.refused")
            .description("Calls turned away for want of the right token.")
            .tag("door", "flight")
            .register(registry);
  }

  /** Times of steps, and how they end. */
  public TransferMeters transfers() {
    return transfers;
  }

  /** Somebody without the token was turned away at the Flight door. */
  public void refusedAtFlight() {
    refusedAtFlight.increment();
  }

  /**
   * The numbers in Prometheus' text format, behind a reading of the engine.
   *
   * @param engine a new reading; empty without a transport
   */
  public Supplier<String> page(Supplier<Optional<EngineStatus>> engine) {
    return new Page(engine)::text;
  }

  @Override
  public void close() {
    collections.close();
    registry.close();
  }

  /** The engine's meters come with its first reading. */
  private final class Page {
    private final Supplier<Optional<EngineStatus>> engine;
    private Optional<EngineMeters> meters = Optional.empty();

    Page(Supplier<Optional<EngineStatus>> engine) {
      this.engine = engine;
    }

    synchronized String text() {
      engine
          .get()
          .ifPresent(
              status -> {
                EngineMeters present = meters.orElseGet(() -> new EngineMeters(registry, status));
                present.take(status);
                meters = Optional.of(present);
              });
      return registry.scrape();
    }
  }
}
