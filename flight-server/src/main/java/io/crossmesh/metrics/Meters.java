package io.crossmesh.metrics;

import io.crossmesh.transfer.EngineStatus;
import io.micrometer.core.instrument.FunctionCounter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.binder.jvm.JvmGcMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.LongSupplier;

/** The meters themselves, in Micrometer's registry for Prometheus. */
final class Meters implements AutoCloseable {
  private final PrometheusMeterRegistry registry =
      new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
  private final JvmGcMetrics collections = new JvmGcMetrics();
  private final TransferMeters transfers;
  private Optional<EngineMeters> engine = Optional.empty();

  Meters(String host, LongSupplier clock, Map<Refused, LongAdder> refused) {
    registry.config().commonTags("host", host);
    collections.bindTo(registry);
    new JvmMemoryMetrics().bindTo(registry);
    new JvmThreadMetrics().bindTo(registry);
    new FileDescriptorMetrics().bindTo(registry);
    new UptimeMetrics().bindTo(registry);
    transfers = new TransferMeters(registry, clock);
    refused.forEach((wrong, count) -> refused(wrong.label(), count));
  }

  private void refused(String lacks, LongAdder count) {
    FunctionCounter.builder("crossmesh.door.refused", count, LongAdder::sum)
        .description("Calls and connections turned away at the doors, by what was wrong.")
        .tag("wrong", lacks)
        .register(registry);
  }

  /** A series that is always 1 and says by its labels what the agent moves bytes by. */
  void transport(String name, String version) {
    Gauge.builder("crossmesh.transport", () -> 1)
        .description("Always 1; the labels say by what the agent moves bytes.")
        .tag("transport", name)
        .tag("version", version)
        .register(registry);
  }

  TransferMeters transfers() {
    return transfers;
  }

  /** The text of a scrape; the engine's meters come with its first reading. */
  synchronized String page(Optional<EngineStatus> reading) {
    reading.ifPresent(
        status -> {
          EngineMeters present = engine.orElseGet(() -> new EngineMeters(registry, status));
          present.take(status);
          engine = Optional.of(present);
        });
    return registry.scrape();
  }

  @Override
  public void close() {
    collections.close();
    registry.close();
  }
}
