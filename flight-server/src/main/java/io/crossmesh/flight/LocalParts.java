package io.crossmesh.flight;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.memory.Arena;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.Side;
import io.crossmesh.transfer.TensorSide;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.arrow.flight.FlightRuntimeException;

/**
 * This host's parts in reshards, asked for by whichever agent the client spoke to. A call ends when
 * the tiles of this host are there, or when the reshard has failed.
 */
final class LocalParts implements AutoCloseable {
  /** How much longer than the engine's own limit anybody waits for it. */
  static final long GRACE_SECONDS = 5;

  /** One step is on the wire once. */
  private static final int DEPTH = 1;

  private static final int REMEMBERED_MAX = 4096;

  private final String host;
  private final TensorStore store;
  private final Arena arena;
  private final Channels channels;
  private final ExecutorService executor;
  private final Map<String, List<Part>> active = new LinkedHashMap<>();

  /** Reshards that were given up, so that a request which arrives late does not begin one. */
  private final Map<String, String> givenUp = Collections.synchronizedMap(new LinkedHashMap<>());

  LocalParts(
      String host, TensorStore store, Arena arena, Channels channels, ExecutorService executor) {
    this.host = host;
    this.store = store;
    this.arena = arena;
    this.channels = channels;
    this.executor = executor;
  }

  /** Takes part; answers the digest of the plan. */
  ObjectNode take(ReshardOrder order) {
    TensorMeta source = order.source();
    TensorMeta target = order.target();
    List<Integer> from = source.devicesOf(host);
    List<Integer> to = target.devicesOf(host);
    checkSource(source, from);
    if (!to.isEmpty() && store.meta(target.name()).isPresent()) {
      throw Missing.exists(
          "tensor '%s' is on host '%s' already; drop it first, or choose another name."
              .formatted(target.name(), host));
    }
    List<Part> parts = begin(order);
    try {
      if (!from.isEmpty()) {
        Part part = new SourcePart(source, store, arena, executor);
        join(parts, part, request(order, Side.SRC, source.layout(), from));
      }
      if (!to.isEmpty()) {
        Part part = new DestinationPart(target, arena, executor);
        join(parts, part, request(order, Side.DST, target.layout(), to));
      }
      List<StoredTile> tiles = await(order, parts);
      if (!to.isEmpty()) {
        store.put(target, tiles);
      }
      return Requests.versioned().put("digest", parts.isEmpty() ? "" : parts.getFirst().digest());
    } finally {
      end(
          order.id(),
          "the reshard of tensor '%s' ended on host '%s'".formatted(source.name(), host));
    }
  }

  private List<Part> begin(ReshardOrder order) {
    synchronized (active) {
      String reason = givenUp.get(order.id());
      if (reason != null) {
        throw new CrossmeshException(Code.TRANSFER_CANCELLED, reason);
      }
      List<Part> parts = new ArrayList<>();
      if (active.putIfAbsent(order.id(), parts) != null) {
        throw Missing.exists(
            "a reshard with the id '%s' is under way; give each its own.".formatted(order.id()));
      }
      return parts;
    }
  }

  private void join(List<Part> parts, Part part, ChannelOpen request) {
    synchronized (active) {
      parts.add(part);
    }
    part.attach(channels.open(request, part));
  }

  private ChannelOpen request(
      ReshardOrder order, Side side, Sharding layout, List<Integer> devices) {
    return new ChannelOpen(
        "flight/" + order.id(),
        side,
        List.of(new TensorSide(order.source().spec(), layout)),
        devices,
        DEPTH,
        (long) (order.timeoutSeconds() * TimeUnit.SECONDS.toNanos(1)),
        order.strategy(),
        order.order(),
        Optional.empty(),
        "reshard of tensor '%s' by Flight".formatted(order.source().name()));
  }

  private static List<StoredTile> await(ReshardOrder order, List<Part> parts) {
    List<StoredTile> arrived = new ArrayList<>();
    CompletableFuture<?>[] all =
        parts.stream().map(Part::done).toArray(CompletableFuture<?>[]::new);
    boolean complete = false;
    try {
      CompletableFuture<Void> failed = new CompletableFuture<>();
      for (CompletableFuture<?> one : all) {
        var _ =
            one.whenComplete(
                (tiles, failure) -> {
                  if (failure != null) {
                    failed.completeExceptionally(failure);
                  }
                });
      }
      CompletableFuture.anyOf(failed, CompletableFuture.allOf(all))
          .get((long) Math.ceil(order.timeoutSeconds()) + GRACE_SECONDS, TimeUnit.SECONDS);
      parts.forEach(part -> arrived.addAll(part.done().join()));
      complete = true;
      return arrived;
    } catch (ExecutionException e) {
      throw cause(e);
    } catch (TimeoutException e) {
      throw new CrossmeshException(
          Code.TRANSFER_TIMEOUT,
          "the reshard of %s did not end within %s s; ask for its state with the action 'status', or allow more time."
              .formatted(order.source().describe(), order.timeoutSeconds()),
          e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CrossmeshException(
          Code.TRANSFER_CANCELLED, "the agent ends; start it again and repeat the reshard.", e);
    } finally {
      if (!complete) {
        for (Part part : parts) {
          var _ = part.done().thenAccept(tiles -> tiles.forEach(StoredTile::close));
        }
      }
    }
  }

  private static RuntimeException cause(ExecutionException e) {
    return switch (e.getCause()) {
      case CrossmeshException known ->
          new CrossmeshException(known.code(), known.getMessage(), known);
      case FlightRuntimeException known -> known;
      case null, default -> new IllegalStateException(e.getCause());
    };
  }

  private void checkSource(TensorMeta source, List<Integer> devices) {
    List<Box> here = store.boxes(source.name());
    for (int device : devices) {
      Box box = source.tile(device);
      if (!box.isEmpty() && !here.contains(box)) {
        throw Missing.notFound(
            "device %d of %s has no tile on host '%s'; put the tile %s there first."
                .formatted(device, source.describe(), host, box));
      }
    }
  }

  /** Ends a reshard here, now or when it arrives; true if it was under way. */
  boolean giveUp(String id, String reason) {
    synchronized (givenUp) {
      givenUp.put(id, reason);
      while (givenUp.size() > REMEMBERED_MAX) {
        givenUp.remove(givenUp.keySet().iterator().next());
      }
    }
    return end(id, reason);
  }

  private boolean end(String id, String reason) {
    List<Part> parts;
    synchronized (active) {
      List<Part> found = active.remove(id);
      parts = found == null ? List.of() : List.copyOf(found);
      if (found == null) {
        return false;
      }
    }
    parts.forEach(part -> part.end(reason));
    return true;
  }

  List<String> ids() {
    synchronized (active) {
      return List.copyOf(active.keySet());
    }
  }

  @Override
  public void close() {
    ids().forEach(id -> end(id, "an agent that takes part ends"));
  }
}
