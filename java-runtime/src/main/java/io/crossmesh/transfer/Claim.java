package io.crossmesh.transfer;

import io.crossmesh.mesh.Topology;
import io.crossmesh.plan.Order;
import io.crossmesh.plan.Strategy;
import java.util.List;
import java.util.Optional;

/**
 * What a host tells all others about one opening of a channel by one of its processes: the part of
 * {@link ChannelOpen} that everybody must know.
 *
 * @param id names the opening in the whole cluster; those of one host are numbered in order
 */
record Claim(
    Id id,
    String host,
    String name,
    Side side,
    List<TensorSide> tensors,
    List<Integer> devices,
    Optional<Strategy> strategy,
    Optional<Order> order,
    Optional<Topology> topology,
    boolean verify) {
  /** Epoch of the host's agent and a number that grows with each of its openings. */
  record Id(long epoch, long number) {}

  Claim {
    tensors = List.copyOf(tensors);
    devices = List.copyOf(devices);
  }

  /** The host of a device of this side. */
  String hostOf(int device) {
    return tensors.getFirst().layout().mesh().hostOf(device);
  }

  /** Number of devices of this side. */
  int sideDevices() {
    return tensors.getFirst().layout().mesh().size();
  }
}
