package io.crossmesh.flight;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.memory.Arena;
import io.crossmesh.mesh.JsonValue;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Leads a reshard: finds the tensor, asks every host of both meshes to take part, and waits for
 * all. It succeeds everywhere or the new tensor is nowhere. The bytes go over the engine's
 * channels; only requests go by Flight.
 */
final class Reshards implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Reshards.class);
  private static final Duration SHORT_LIMIT = Duration.ofSeconds(10);

  private final String host;
  private final TensorStore store;
  private final Catalog catalog;
  private final Peers peers;
  private final ExecutorService executor;
  private final LocalParts parts;

  Reshards(
      String host,
      TensorStore store,
      Catalog catalog,
      Peers peers,
      Arena arena,
      Channels channels) {
    this.host = host;
    this.store = store;
    this.catalog = catalog;
    this.peers = peers;
    this.executor =
        Executors.newThreadPerTaskExecutor(Thread.ofVirtual().name("reshard-", 0).factory());
    this.parts = new LocalParts(host, store, arena, channels, executor);
  }

  /** A client's request. */
  ObjectNode reshard(JsonValue request) {
    String id =
        request.find("id").map(JsonValue::text).orElseGet(() -> UUID.randomUUID().toString());
    TensorMeta source = catalog.find(request.get("tensor").text());
    ReshardOrder order = ReshardOrder.fromClient(request, id, source);
    for (String other : order.hosts()) {
      if (!other.equals(host)) {
        peers.client(other);
      }
    }
    long begun = System.nanoTime();
    String digest = lead(order);
    return Requests.versioned()
        .put("id", id)
        .put("tensor", order.target().name())
        .put("seconds", (System.nanoTime() - begun) / 1e9)
        .put("digest", digest);
  }

  private String lead(ReshardOrder order) {
    List<CompletableFuture<String>> hosts = new ArrayList<>();
    Set<String> made = ConcurrentHashMap.newKeySet();
    AtomicReference<Throwable> first = new AtomicReference<>();
    for (String each : order.hosts()) {
      CompletableFuture<String> part =
          CompletableFuture.supplyAsync(() -> askToTakePart(each, order), executor);
      hosts.add(
          part.whenComplete(
              (digest, failure) -> {
                if (failure == null) {
                  made.add(each);
                } else if (first.compareAndSet(null, failure)) {
                  giveUpEverywhere(order, "host '%s' failed: %s".formatted(each, message(failure)));
                }
              }));
    }
    String digest = "";
    for (CompletableFuture<String> part : hosts) {
      // Failures are looked at when all have ended: then nobody works on the tensor any more.
      digest = part.exceptionally(failure -> "").join();
    }
    Throwable failure = first.get();
    if (failure != null) {
      // Only where this reshard made it: elsewhere the name may be another tensor's.
      dropOn(List.copyOf(made), order.target().name());
      throw unwrapped(failure);
    }
    return digest;
  }

  private String askToTakePart(String each, ReshardOrder order) {
    Duration limit =
        Duration.ofSeconds((long) Math.ceil(order.timeoutSeconds()) + 2 * LocalParts.GRACE_SECONDS);
    if (each.equals(host)) {
      return parts.take(order).path("digest").textValue();
    }
    return peers
        .client(each)
        .action(Actions.TAKE_PART, order.forAgents(), limit)
        .get("digest")
        .text();
  }

  /** Another agent's request. */
  ObjectNode takePart(JsonValue request) {
    return parts.take(ReshardOrder.fromAgent(request));
  }

  /** Another agent's word that a reshard is over. */
  ObjectNode giveUp(JsonValue request) {
    boolean ended = parts.giveUp(request.get("id").text(), request.get("reason").text());
    return Requests.versioned().put("ended", ended);
  }

  /** A client's word that a reshard shall end. */
  ObjectNode cancel(JsonValue request) {
    String id = request.get("id").text();
    String reason =
        request
            .find("reason")
            .map(JsonValue::text)
            .orElse("a client cancelled the reshard '%s'; ask for it again.".formatted(id));
    boolean ended = parts.giveUp(id, reason);
    List<String> others = peers.all().stream().map(peer -> peer.hello().name()).toList();
    ObjectNode body = giveUpBody(id, reason);
    for (JsonValue answer : ask(others, Actions.GIVE_UP, body)) {
      ended |= answer.get("ended").node().asBoolean();
    }
    return Requests.versioned().put("cancelled", ended);
  }

  /** Drops a tensor on all hosts. */
  ObjectNode drop(String tensor) {
    List<String> all = peers.all().stream().map(peer -> peer.hello().name()).toList();
    boolean dropped = store.drop(tensor);
    for (JsonValue answer :
        ask(all, Actions.DROP_HERE, Requests.versioned().put("tensor", tensor))) {
      dropped |= answer.get("dropped").node().asBoolean();
    }
    return Requests.versioned().put("dropped", dropped);
  }

  ObjectNode status() {
    ObjectNode json = io.crossmesh.json.Json.object();
    parts.ids().forEach(json.putArray("active")::add);
    return json;
  }

  private void giveUpEverywhere(ReshardOrder order, String reason) {
    parts.giveUp(order.id(), reason);
    List<String> others = order.hosts().stream().filter(each -> !each.equals(host)).toList();
    ask(others, Actions.GIVE_UP, giveUpBody(order.id(), reason));
  }

  private static ObjectNode giveUpBody(String id, String reason) {
    return Requests.versioned().put("id", id).put("reason", reason);
  }

  private void dropOn(List<String> hosts, String tensor) {
    if (hosts.contains(host)) {
      store.drop(tensor);
    }
    List<String> others = hosts.stream().filter(each -> !each.equals(host)).toList();
    ask(others, Actions.DROP_HERE, Requests.versioned().put("tensor", tensor));
  }

  /** Asks several hosts at once; those that cannot be reached have nothing to say. */
  private List<JsonValue> ask(List<String> hosts, String action, ObjectNode body) {
    List<CompletableFuture<List<JsonValue>>> answers =
        hosts.stream()
            .map(
                each ->
                    CompletableFuture.supplyAsync(
                            () -> List.of(peers.client(each).action(action, body, SHORT_LIMIT)),
                            executor)
                        .exceptionally(
                            failure -> {
                              LOG.debug("'{}' does not answer {}", each, action, failure);
                              return List.of();
                            }))
            .toList();
    return answers.stream().flatMap(answer -> answer.join().stream()).toList();
  }

  private static String message(Throwable failure) {
    return String.valueOf(unwrapped(failure).getMessage());
  }

  private static RuntimeException unwrapped(Throwable failure) {
    Throwable cause =
        failure instanceof CompletionException && failure.getCause() != null
            ? failure.getCause()
            : failure;
    return cause instanceof RuntimeException known ? known : new IllegalStateException(cause);
  }

  @Override
  public void close() {
    parts.close();
    executor.shutdownNow();
    try {
      if (!executor.awaitTermination(1, TimeUnit.SECONDS)) {
        LOG.debug("some calls have not ended");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
