package io.crossmesh.flight;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.JsonValue;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What logical tensors there are in the cluster, asked of the agents that hold their tiles. */
final class Catalog {
  private static final Logger LOG = LoggerFactory.getLogger(Catalog.class);
  private static final Duration LIMIT = Duration.ofSeconds(10);

  private final TensorStore store;
  private final Peers peers;

  Catalog(TensorStore store, Peers peers) {
    this.store = store;
    this.peers = peers;
  }

  /**
   * A tensor that some agent has a tile of.
   *
   * @throws org.apache.arrow.flight.FlightRuntimeException NOT_FOUND if none has
   */
  TensorMeta find(String name) {
    Optional<TensorMeta> here = store.meta(name);
    if (here.isPresent()) {
      return here.get();
    }
    ObjectNode request = Requests.versioned().put("tensor", name);
    for (TensorMeta meta : askAll(request)) {
      return meta;
    }
    throw Missing.notFound(
        "no agent holds a tile of a tensor '%s'; put its tiles, or join the agents that hold them."
            .formatted(name));
  }

  /** All tensors, each once. */
  List<TensorMeta> list() {
    Map<String, TensorMeta> byName = new LinkedHashMap<>();
    store.list().forEach(meta -> byName.put(meta.name(), meta));
    askAll(Requests.versioned()).forEach(meta -> byName.putIfAbsent(meta.name(), meta));
    return List.copyOf(byName.values());
  }

  /** The answer to another agent's question. */
  ObjectNode describe(Optional<String> name) {
    ObjectNode answer = Requests.versioned();
    var tensors = answer.putArray("tensors");
    List<TensorMeta> metas =
        name.map(one -> store.meta(one).stream().toList()).orElseGet(store::list);
    metas.forEach(meta -> tensors.add(meta.write()));
    return answer;
  }

  private List<TensorMeta> askAll(ObjectNode request) {
    List<TensorMeta> found = new ArrayList<>();
    for (Peers.Peer peer : peers.all()) {
      try {
        JsonValue answer = peer.client().action(Actions.DESCRIBE, request, LIMIT);
        answer
            .get("tensors")
            .items(TensorStore.TENSORS_MAX)
            .forEach(tensor -> found.add(TensorMeta.read(tensor)));
      } catch (CrossmeshException e) {
        // An agent that is down holds nothing that could be read; the others answer.
        LOG.debug("'{}' does not say which tensors it holds", peer.hello().name(), e);
      }
    }
    return found;
  }
}
