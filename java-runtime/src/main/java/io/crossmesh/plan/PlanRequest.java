package io.crossmesh.plan;

import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Topology;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * Everything a plan depends on. All tensors of a boundary are planned together.
 *
 * @param tensors what moves, each with its own pair of layouts; keys are distinct
 * @param topology the network; it knows every host of every mesh
 * @param strategy how slices travel
 * @param order who sends what first
 */
public record PlanRequest(
    List<TensorReshard> tensors, Topology topology, Strategy strategy, Order order) {
  /** Most tensors of one request. */
  public static final int MAX_TENSORS = 65_536;

  /** Most bytes that a plan may deliver if every device got every tensor whole. */
  public static final long MAX_BYTES = 1L << 62;

  public PlanRequest {
    tensors = List.copyOf(tensors);
    if (tensors.isEmpty() || tensors.size() > MAX_TENSORS) {
      throw PlanChecks.layout(
          "A plan of %d tensors was asked for; give 1 to %d."
              .formatted(tensors.size(), MAX_TENSORS));
    }
    Map<String, TensorReshard> byKey = HashMap.newHashMap(tensors.size());
    for (TensorReshard tensor : tensors) {
      TensorReshard other = byKey.put(tensor.tensor().key(), tensor);
      if (other != null) {
        throw PlanChecks.layout(
            "Two tensors have the key '%s', of shapes %s and %s; give each its own key."
                .formatted(tensor.tensor().key(), other.tensor().shape(), tensor.tensor().shape()));
      }
    }
    long bytes = 0;
    for (TensorReshard tensor : tensors) {
      long perDevice = tensor.tensor().bytes();
      int devices = tensor.dst().mesh().size();
      if (perDevice > (MAX_BYTES - bytes) / devices) {
        throw PlanChecks.layout(
            "%s: the devices of the destination would get more than %d bytes; plan fewer tensors together."
                .formatted(tensor.describe(), MAX_BYTES));
      }
      bytes += perDevice * devices;
    }
    for (String host : hosts(tensors)) {
      if (!topology.hosts().containsKey(host)) {
        throw PlanChecks.layout(
            "Host '%s' of %s is not in the topology; add its NICs or leave the topology out."
                .formatted(host, firstWith(tensors, host).describe()));
      }
    }
  }

  /** A request over the default topology. */
  public PlanRequest(List<TensorReshard> tensors, Strategy strategy, Order order) {
    this(tensors, Topology.uniform(hosts(tensors)), strategy, order);
  }

  /** The same tensors over the same network, planned otherwise. */
  public PlanRequest with(Strategy otherStrategy, Order otherOrder) {
    return new PlanRequest(tensors, topology, otherStrategy, otherOrder);
  }

  /** The hosts of all meshes, sorted. */
  public static SortedSet<String> hosts(List<TensorReshard> tensors) {
    SortedSet<String> hosts = new TreeSet<>();
    // Boundaries have many tensors and few meshes: each mesh is walked once.
    IdentityHashMap<Mesh, Boolean> seen = new IdentityHashMap<>();
    for (TensorReshard tensor : tensors) {
      for (Mesh mesh : List.of(tensor.src().mesh(), tensor.dst().mesh())) {
        if (seen.put(mesh, true) == null) {
          hosts.addAll(mesh.hosts());
        }
      }
    }
    return hosts;
  }

  /** The hosts of all meshes of this request, sorted. */
  public SortedSet<String> hosts() {
    return hosts(tensors);
  }

  /** Whether any tensor is needed at a certain time. */
  public boolean hasDeadlines() {
    return tensors.stream().anyMatch(tensor -> tensor.deadline().isPresent());
  }

  private static TensorReshard firstWith(List<TensorReshard> tensors, String host) {
    return tensors.stream()
        .filter(t -> t.src().mesh().hosts().contains(host) || t.dst().mesh().hosts().contains(host))
        .findFirst()
        .orElseThrow();
  }
}
