package io.crossmesh.agent;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.FileFailures;
import io.crossmesh.flight.bulk.BulkTransport;
import io.crossmesh.memory.Arena;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.Contacts;
import io.crossmesh.transfer.EngineOptions;
import io.crossmesh.transfer.EngineStatus;
import io.crossmesh.transfer.Mailbox;
import io.crossmesh.transfer.OwnerThread;
import io.crossmesh.transfer.Participant;
import io.crossmesh.transfer.PeerSpec;
import io.crossmesh.transfer.TransferEngine;
import io.crossmesh.transfer.Transport;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;

/**
 * An engine over a transport, on its owner thread. What takes long is done by others: one plans, a
 * few reserve memory, as a small channel should not wait for the pages of a large one.
 */
final class RunningEngine implements Engine {
  private static final long STATUS_SECONDS_MAX = 5;
  private static final int RESERVING_THREADS = 4;
  private static final long IDLE_SECONDS_MAX = 10;

  private final String name;
  private final String version;
  private final Doorbell bell;
  private final Transport transport;
  private final TransferEngine engine;
  private final OwnerThread owner;
  private final ExecutorService planning;
  private final ExecutorService reserving;

  private RunningEngine(
      String name,
      String version,
      Doorbell bell,
      Transport transport,
      TransferEngine engine,
      OwnerThread owner,
      ExecutorService planning,
      ExecutorService reserving) {
    this.name = name;
    this.version = version;
    this.bell = bell;
    this.transport = transport;
    this.engine = engine;
    this.owner = owner;
    this.planning = planning;
    this.reserving = reserving;
  }

  /**
   * Starts one.
   *
   * @param directory of this agent alone
   * @param contacts what is known of the way to other hosts
   * @param name of the transport
   * @param version of the transport
   * @param make makes it, given the bell that ends its sleep
   */
  static RunningEngine start(
      AgentConfig config,
      long epoch,
      Arena arena,
      Path directory,
      Contacts contacts,
      String name,
      String version,
      Function<Doorbell, Transport> make) {
    Doorbell bell = bell(directory.resolve("bell"));
    ExecutorService planning =
        Executors.newSingleThreadExecutor(
            Thread.ofPlatform().name("planning").daemon(true).factory());
    ExecutorService reserving = reserving();
    Transport transport = make.apply(bell);
    boolean started = false;
    try {
      TransferEngine engine =
          new TransferEngine(
              config.name(),
              epoch,
              System::nanoTime,
              transport,
              arena,
              EngineOptions.defaults()
                  .withPlanning(planning::execute)
                  .withReserving(reserving::execute, EngineOptions.COLD_BYTES_MAX)
                  .withChecksums(config.checksums())
                  .withSilence(config.lostAfterNanos())
                  .withSpares(config.spares())
                  .withContacts(contacts));
      OwnerThread owner =
          new OwnerThread(
                  engine,
                  transport::wakeup,
                  "transfer",
                  OwnerThread.spins(Runtime.getRuntime().availableProcessors()))
              .start();
      started = true;
      return new RunningEngine(name, version, bell, transport, engine, owner, planning, reserving);
    } finally {
      if (!started) {
        planning.shutdownNow();
        reserving.shutdownNow();
        bell.close();
      }
    }
  }

  private static ExecutorService reserving() {
    ThreadPoolExecutor threads =
        new ThreadPoolExecutor(
            RESERVING_THREADS,
            RESERVING_THREADS,
            IDLE_SECONDS_MAX,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(),
            Thread.ofPlatform().name("reserving-", 0).daemon(true).factory());
    threads.allowCoreThreadTimeOut(true);
    return threads;
  }

  private static Doorbell bell(Path path) {
    try {
      return Doorbell.create(path);
    } catch (IOException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "the agent cannot make a named pipe (%s); choose another --arena-dir."
              .formatted(FileFailures.reason(e)),
          e);
    }
  }

  @Override
  public Optional<BulkTransport> bulk() {
    return transport instanceof BulkTransport atTheDoor ? Optional.of(atTheDoor) : Optional.empty();
  }

  @Override
  public Optional<Doorbell> bell() {
    return Optional.of(bell);
  }

  @Override
  public void attach(Mailbox mailbox) {
    engine.attach(mailbox);
  }

  @Override
  public AgentInfo.TransportInfo transport() {
    return new AgentInfo.TransportInfo.Available(name, transport.address(), version);
  }

  @Override
  public ChannelHandle open(ChannelOpen request, Participant participant) {
    return engine.open(request, participant);
  }

  @Override
  public void setPeers(List<PeerSpec> peers) {
    engine.setPeers(peers);
  }

  @Override
  public void leave() {
    engine.leave();
  }

  @Override
  public ObjectNode status() {
    return StatusJson.of(read());
  }

  @Override
  public Optional<EngineStatus> reading() {
    return Optional.of(read());
  }

  private EngineStatus read() {
    try {
      return engine.status().get(STATUS_SECONDS_MAX, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw unavailable(e);
    } catch (ExecutionException | TimeoutException e) {
      throw unavailable(e);
    }
  }

  private static CrossmeshException unavailable(Exception e) {
    return new CrossmeshException(
        Code.AGENT_UNAVAILABLE,
        "the transfer engine does not answer (%s); look at the agent's log.".formatted(e),
        e);
  }

  @Override
  public void close() {
    owner.close();
    planning.shutdownNow();
    reserving.shutdownNow();
    bell.close();
  }
}
