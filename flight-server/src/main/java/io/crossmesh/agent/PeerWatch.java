package io.crossmesh.agent;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.Hello;
import io.crossmesh.flight.PeerAddress;
import io.crossmesh.flight.Peers;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps asking the agents on this agent's list who they are: at the start none of them need be up,
 * and one that was started again is known by its new epoch soon after. While the connection to an
 * agent stands and the engine has not lost it, asking would cost an idle agent most of its
 * processor time and tell nothing; only a host that went down without a word leaves a connection
 * that stands, so all are asked now and then.
 */
final class PeerWatch implements AutoCloseable {
  static final long PERIOD_MILLIS = 2_000;
  private static final int ROUNDS_BETWEEN_QUESTIONS_TO_ALL = 5;

  private static final Logger LOG = LoggerFactory.getLogger(PeerWatch.class);

  private final Peers peers;
  private final Supplier<Set<String>> lost;
  private final Map<String, PeerAddress> watched = new LinkedHashMap<>();
  private final ScheduledExecutorService thread =
      Executors.newSingleThreadScheduledExecutor(
          Thread.ofPlatform().name("peer-watch").daemon(true).factory());
  private int round; // of that thread alone
  private final Set<PeerAddress> unfit = new HashSet<>(); // of that thread alone

  PeerWatch(Peers peers, List<PeerAddress> configured, Supplier<Set<String>> lost) {
    this.peers = peers;
    this.lost = lost;
    watch(configured);
  }

  void start() {
    var _ = thread.scheduleWithFixedDelay(this::askAll, 0, PERIOD_MILLIS, TimeUnit.MILLISECONDS);
  }

  /** Asks agents now, and from now on. */
  List<Hello> join(List<PeerAddress> addresses) {
    List<Hello> hellos = peers.join(addresses);
    watch(addresses);
    return hellos;
  }

  private void watch(List<PeerAddress> addresses) {
    synchronized (watched) {
      addresses.forEach(address -> watched.put(address.name(), address));
    }
  }

  private void askAll() {
    List<PeerAddress> all;
    synchronized (watched) {
      all = List.copyOf(watched.values());
    }
    Set<String> lostNow = lostPeers();
    boolean askEach = round++ % ROUNDS_BETWEEN_QUESTIONS_TO_ALL == 0;
    Set<String> answered = new HashSet<>();
    for (PeerAddress peer : all) {
      if (askEach || lostNow.contains(peer.name()) || !peers.stands(peer)) {
        ask(peer, answered);
      }
    }
    answered.retainAll(lostNow);
    if (!answered.isEmpty()) {
      connectAgain();
    }
  }

  private void ask(PeerAddress peer, Set<String> answered) {
    try {
      peers.join(List.of(peer)).forEach(hello -> answered.add(hello.name()));
    } catch (CrossmeshException e) {
      // Who answers and cannot be worked with stays as it is until somebody mends it.
      if (e.code() == Code.LAYOUT && unfit.add(peer)) {
        LOG.warn("'{}' cannot be worked with: {}", peer.name(), e.getMessage());
      }
      LOG.debug("'{}' is not there: {}", peer.name(), e.getMessage());
    } catch (RuntimeException e) {
      warn("asking '%s' failed".formatted(peer.name()), e);
    }
  }

  private Set<String> lostPeers() {
    try {
      return lost.get();
    } catch (CrossmeshException e) {
      warn("the engine does not say which peers it lost", e);
      return Set.of();
    }
  }

  private void connectAgain() {
    try {
      peers.announce();
    } catch (CrossmeshException e) {
      warn("the engine does not take its peers again", e);
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
    try {
      if (!thread.awaitTermination(1, TimeUnit.SECONDS)) {
        LOG.debug("a question to a peer has not ended");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
