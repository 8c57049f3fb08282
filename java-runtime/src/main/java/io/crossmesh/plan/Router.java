package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Chooses sender and route of each slice. What a host already holds is copied there and crosses no
 * NIC. {@link Order#NAIVE} takes the first holder and the hosts of a chain as the mesh lists them;
 * {@link Order#SIZE} takes the holder whose NIC has the least to send so far, and lets the hosts
 * with the least to send forward, so that chains over the same hosts rotate.
 */
final class Router {
  private final Network network;
  private final Order order;

  /** Seconds that the NIC of each host sends so far. */
  private final double[] egress;

  /** For each host, the last cell that had a holder there, and that holder's position. */
  private final int[] heldIn;

  private final int[] heldAt;
  private final List<Route> routes = new ArrayList<>();
  private int cells;

  private Router(Network network, Order order) {
    this.network = network;
    this.order = order;
    egress = new double[network.size()];
    heldIn = new int[network.size()];
    heldAt = new int[network.size()];
  }

  /** Routes of all cells in the order in which they should start. */
  static List<Route> route(
      List<Cell> cells, List<Strategy> strategyOfTensor, Network network, Order order) {
    Router router = new Router(network, order);
    List<Cell> sorted = cells;
    if (order == Order.SIZE) {
      // Of equal slices, those with fewer holders first: they have the least choice.
      sorted = new ArrayList<>(cells);
      sorted.sort(
          Comparator.comparingLong((Cell cell) -> -cell.bytes())
              .thenComparingInt(cell -> cell.holders().hosts().size()));
    }
    for (Cell cell : sorted) {
      router.add(cell, strategyOfTensor.get(cell.task().tensor()));
    }
    return router.routes;
  }

  private void add(Cell cell, Strategy strategy) {
    cells++;
    Group holders = cell.holders();
    for (int i = 0; i < holders.hosts().size(); i++) {
      heldIn[holders.hosts().get(i)] = cells;
      heldAt[holders.hosts().get(i)] = i;
    }
    Group receivers = cell.receivers();
    List<Integer> remote = new ArrayList<>();
    for (int i = 0; i < receivers.hosts().size(); i++) {
      int host = receivers.hosts().get(i);
      if (heldIn[host] == cells) {
        addLocal(cell, strategy, host, receivers.byHost().get(i));
      } else {
        remote.add(i);
      }
    }
    if (remote.isEmpty()) {
      return;
    }
    if (strategy == Strategy.BROADCAST) {
      addChain(cell, remote);
    } else {
      for (int i : remote) {
        int host = receivers.hosts().get(i);
        for (int device : receivers.byHost().get(i)) {
          int from = chooseSender(cell);
          spend(holders.hosts().get(from), cell.bytes());
          emit(
              cell, holders.first(from), List.of(device), List.of(holders.hosts().get(from), host));
        }
      }
    }
  }

  private void addLocal(Cell cell, Strategy strategy, int host, List<Integer> devices) {
    int sender = cell.holders().first(heldAt[host]);
    if (strategy == Strategy.BROADCAST) {
      emit(cell, sender, devices, List.of(host));
    } else {
      devices.forEach(device -> emit(cell, sender, List.of(device), List.of(host)));
    }
  }

  private void addChain(Cell cell, List<Integer> remote) {
    Group holders = cell.holders();
    Group receivers = cell.receivers();
    int from = chooseSender(cell);
    spend(holders.hosts().get(from), cell.bytes());
    List<Integer> chain = new ArrayList<>(remote.size() + 1);
    for (int i : remote) {
      chain.add(receivers.hosts().get(i));
    }
    if (order == Order.SIZE) {
      chain.sort(Comparator.comparingDouble(host -> egress[host]));
    }
    for (int host : chain.subList(0, chain.size() - 1)) {
      spend(host, cell.bytes());
    }
    chain.addFirst(holders.hosts().get(from));
    List<Integer> hosts = List.copyOf(chain);
    emit(cell, holders.first(from), devices(receivers, remote), hosts);
  }

  /** The devices on some hosts of a group, ascending; lists are shared where they can be. */
  private static List<Integer> devices(Group group, List<Integer> positions) {
    if (positions.size() == group.hosts().size()) {
      return group.devices();
    }
    if (positions.size() == 1) {
      return group.byHost().get(positions.getFirst());
    }
    return positions.stream().flatMap(i -> group.byHost().get(i).stream()).sorted().toList();
  }

  /** Position of the sending host among the holders. */
  private int chooseSender(Cell cell) {
    List<Integer> hosts = cell.holders().hosts();
    if (order == Order.NAIVE) {
      return 0;
    }
    int best = 0;
    double least = Double.POSITIVE_INFINITY;
    for (int i = 0; i < hosts.size(); i++) {
      int host = hosts.get(i);
      double load = egress[host] + cell.bytes() / network.bandwidth(host);
      if (load < least) {
        least = load;
        best = i;
      }
    }
    return best;
  }

  private void spend(int host, long bytes) {
    egress[host] += bytes / network.bandwidth(host);
  }

  private void emit(Cell cell, int sender, List<Integer> receivers, List<Integer> hosts) {
    if (routes.size() == Plan.MAX_MOVES) {
      throw PlanChecks.layout(
          "The plan has more than %d moves; use strategy broadcast, coarser layouts or fewer tensors."
              .formatted(Plan.MAX_MOVES));
    }
    routes.add(new Route(cell, sender, receivers, hosts));
  }
}
