package io.crossmesh.transfer;

import io.crossmesh.mesh.Topology;
import io.crossmesh.plan.Order;
import io.crossmesh.plan.Strategy;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * One process's part in a channel.
 *
 * @param name what both sides call it
 * @param side which end this process is
 * @param tensors in the order in which both sides state them; all on one list of devices
 * @param devices positions in the mesh of this side that this process holds; all on this host
 * @param depth steps that may be on the wire; landing and staging sets are reserved for as many
 * @param timeoutNanos limit of the opening
 * @param stepTimeoutNanos limit of each step from its call; without one, a step ends by itself only
 *     when a host or a process is lost
 * @param strategy how slices travel, or whatever the other side says
 * @param order who sends first, or whatever the other side says
 * @param topology the network; the first source host that states one decides
 * @param verify whether each step's tiles are compared with what was sent, by their digests, before
 *     they are handed over; it is enough that one process of either side says so
 * @param owner who holds the memory, in the words of messages, such as "process 4711"
 */
public record ChannelOpen(
    String name,
    Side side,
    List<TensorSide> tensors,
    List<Integer> devices,
    int depth,
    long timeoutNanos,
    OptionalLong stepTimeoutNanos,
    Optional<Strategy> strategy,
    Optional<Order> order,
    Optional<Topology> topology,
    boolean verify,
    String owner) {
  /** Largest depth that is accepted. */
  public static final int DEPTH_MAX = 1024;

  public ChannelOpen {
    tensors = List.copyOf(tensors);
    devices = List.copyOf(devices);
  }

  /** One with one limit for the opening and for each step, that asks for no digests. */
  public ChannelOpen(
      String name,
      Side side,
      List<TensorSide> tensors,
      List<Integer> devices,
      int depth,
      long timeoutNanos,
      Optional<Strategy> strategy,
      Optional<Order> order,
      Optional<Topology> topology,
      String owner) {
    this(
        name,
        side,
        tensors,
        devices,
        depth,
        timeoutNanos,
        OptionalLong.of(timeoutNanos),
        strategy,
        order,
        topology,
        false,
        owner);
  }

  /** The same with digests. */
  public ChannelOpen verified() {
    return new ChannelOpen(
        name,
        side,
        tensors,
        devices,
        depth,
        timeoutNanos,
        stepTimeoutNanos,
        strategy,
        order,
        topology,
        true,
        owner);
  }
}
