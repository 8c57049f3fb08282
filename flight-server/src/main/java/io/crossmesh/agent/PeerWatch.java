package io.crossmesh.agent;

import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.Hello;
import io.crossmesh.flight.PeerAddress;
import io.crossmesh.flight.Peers;
import io.crossmesh.transfer.EngineStatus;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps asking the agents on this agent's list who they are: at the start none of them need be up,
 * and one that was started again is known by its new epoch soon after. While the connection to an
 * agent stands and its messages come, asking would cost an idle agent most of its processor time
 * and tell nothing; only a host that went down without a word leaves a connection that stands, so
 * all are asked now and then. The log says of each agent once why it is not reached, and once that
 * it is again.
 */
final class PeerWatch implements AutoCloseable {
  static final long PERIOD_MILLIS = 2_000;

  /** How often the log is told of changes, so that trouble is said within five seconds. */
  private static final long NEWS_MILLIS = 500;

  private static final int ROUNDS_BETWEEN_QUESTIONS_TO_ALL = 5;

  private static final Logger LOG = LoggerFactory.getLogger(PeerWatch.class);

  private final Peers peers;
  private final PeerBook book;
  private final Supplier<Optional<EngineStatus>> engine;
  private final ScheduledExecutorService thread =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().name("peer-watch").daemon(true).factory());
  // One that does not answer holds up nobody but itself.
  private final ExecutorService questions =
      Executors.newThreadPerTaskExecutor(Thread.ofVirtual().name("peer-", 0).factory());
  private final Set<String> asking = ConcurrentHashMap.newKeySet();
  private final CompletableFuture<Void> firstRound = new CompletableFuture<>();
  private int round; // of that thread alone

  PeerWatch(Peers peers, PeerBook book, Supplier<Optional<EngineStatus>> engine) {
    this.peers = peers;
    this.book = book;
    this.engine = engine;
  }

  void start() {
    var _ = thread.scheduleWithFixedDelay(this::askAll, 0, PERIOD_MILLIS, TimeUnit.MILLISECONDS);
    var _ =
        thread.scheduleWithFixedDelay(this::tell, NEWS_MILLIS, NEWS_MILLIS, TimeUnit.MILLISECONDS);
  }

  /** Done when each agent of the list was asked once and answered or did not. */
  CompletableFuture<Void> firstRound() {
    return firstRound.copy();
  }

  /** Asks agents now, and from now on. */
  List<Hello> join(List<PeerAddress> addresses) {
    List<Hello> hellos = peers.join(addresses);
    book.list(addresses);
    return hellos;
  }

  private void askAll() {
    Optional<EngineStatus> reading = reading();
    book.engine(reading);
    boolean askEach = round++ % ROUNDS_BETWEEN_QUESTIONS_TO_ALL == 0;
    CompletableFuture<?>[] asked =
        book.listed().stream()
            .filter(peer -> askEach || !book.state(peer.name()).connected() || !peers.stands(peer))
            .filter(peer -> asking.add(peer.name()))
            .map(peer -> CompletableFuture.runAsync(() -> ask(peer, reading), questions))
            .toArray(CompletableFuture[]::new);
    if (!firstRound.isDone()) {
      var _ =
          CompletableFuture.allOf(asked).whenComplete((done, failure) -> firstRound.complete(null));
    }
  }

  private void ask(PeerAddress peer, Optional<EngineStatus> before) {
    PeerState state = book.state(peer.name());
    try {
      state.met(peers.meet(peer));
      if (lost(peer, before)) {
        connectAgain();
      }
    } catch (CrossmeshException e) {
      state.failed(withoutStop(e.getMessage()));
      LOG.debug("'{}' is not reached: {}", peer.name(), e.getMessage());
    } catch (RuntimeException e) {
      state.failed("asking it failed (%s); look at this agent's log".formatted(e));
      warn("asking '%s' failed".formatted(peer.name()), e);
    } finally {
      asking.remove(peer.name());
    }
  }

  private static boolean lost(PeerAddress peer, Optional<EngineStatus> reading) {
    return reading.isPresent()
        && reading.get().peers().stream()
            .anyMatch(known -> known.host().equals(peer.name()) && !known.connected());
  }

  private static String withoutStop(String message) {
    return message.endsWith(".") ? message.substring(0, message.length() - 1) : message;
  }

  private Optional<EngineStatus> reading() {
    try {
      return engine.get();
    } catch (CrossmeshException e) {
      warn("the engine does not say which peers it lost", e);
      return Optional.empty();
    }
  }

  private void connectAgain() {
    try {
      peers.announce();
    } catch (CrossmeshException e) {
      warn("the engine does not take its peers again", e);
    }
  }

  private void tell() {
    if (book.listed().stream().anyMatch(peer -> !book.state(peer.name()).connected())) {
      book.engine(reading());
    }
    for (PeerState.News news : book.news()) {
      if (news.loud()) {
        PeopleLog.warn(news.text());
      } else {
        PeopleLog.info(news.text());
      }
    }
  }

  /** A question that {@link #close} cuts off has failed by our own doing, which is no news. */
  private void warn(String what, RuntimeException e) {
    if (!thread.isShutdown()) {
      LOG.warn(what, e);
    }
  }

  @Override
  public void close() {
    thread.shutdownNow();
    questions.shutdownNow();
    try {
      if (!thread.awaitTermination(1, TimeUnit.SECONDS)
          || !questions.awaitTermination(1, TimeUnit.SECONDS)) {
        LOG.debug("a question to a peer has not ended");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
