package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.IntFunction;

/**
 * Chooses sender and route of whole slices. What a host already holds is copied there and crosses
 * no NIC. {@link Order#NAIVE} takes the first holder and the hosts of a chain as the mesh lists
 * them; {@link Order#SIZE} takes the holder whose NIC has the least to send so far, and lets the
 * hosts with the least to send forward, so that chains over the same hosts rotate.
 */
final class Router {
  private final Network network;
  private final Order order;

  /** Seconds that the NIC of each host sends so far. */
  private final double[] egress;

  private final Held held;
  private final Rings rings = new Rings();
  private final List<Route> routes = new ArrayList<>();

  private Router(Network network, Order order) {
    this.network = network;
    this.order = order;
    egress = new double[network.size()];
    held = new Held(network);
  }

  /** Routes of all cells in the order in which they should start. */
  static List<Route> route(List<Cell> cells, List<Chosen> chosen, Network network, Order order) {
    return route(cells, network, order, tensor -> chosen.get(tensor).strategy());
  }

  /** The same with one strategy for all tensors. */
  static List<Route> route(List<Cell> cells, Strategy strategy, Network network, Order order) {
    return route(cells, network, order, tensor -> strategy);
  }

  private static List<Route> route(
      List<Cell> cells, Network network, Order order, IntFunction<Strategy> strategyOfTensor) {
    Router router = new Router(network, order);
    List<Cell> sorted = cells;
    if (order != Order.NAIVE) {
      // Of equal slices, those with fewer holders first: they have the least choice.
      sorted = new ArrayList<>(cells);
      sorted.sort(
          Comparator.comparingLong((Cell cell) -> -cell.bytes())
              .thenComparingInt(cell -> cell.holders().hosts().size()));
    }
    for (Cell cell : sorted) {
      router.add(cell, strategyOfTensor.apply(cell.task().tensor()));
    }
    return router.routes;
  }

  private void add(Cell cell, Strategy strategy) {
    held.turnTo(cell);
    copies(cell, strategy, held).forEach(this::emit);
    for (Delivery delivery : deliveries(cell, strategy, held, network)) {
      send(delivery, chooseSender(delivery));
    }
  }

  /** The copies inside the hosts that hold a slice and need it. */
  static List<Route> copies(Cell cell, Strategy strategy, Held held) {
    List<Integer> holding = held.receivers(cell, true);
    if (holding.isEmpty()) {
      return List.of();
    }
    List<Route> copies = new ArrayList<>();
    for (int i : holding) {
      int host = cell.receivers().hosts().get(i);
      int sender = cell.holders().first(held.position(host));
      List<Integer> devices = cell.receivers().byHost().get(i);
      if (strategy != Strategy.SEND_RECV) {
        copies.add(new Route(cell, sender, devices, List.of(host)));
      } else {
        devices.forEach(
            device -> copies.add(new Route(cell, sender, List.of(device), List.of(host))));
      }
    }
    return copies;
  }

  /** What the hosts that lack a slice must be sent. */
  static List<Delivery> deliveries(Cell cell, Strategy strategy, Held held, Network network) {
    List<Integer> remote = held.receivers(cell, false);
    if (remote.isEmpty()) {
      return List.of();
    }
    return switch (strategy) {
      case SEND_RECV -> toDevices(cell, remote);
      case LOCAL_ALL_GATHER ->
          remote.stream()
              .flatMap(host -> Delivery.toHosts(cell, List.of(host)).localPieces().stream())
              .toList();
      case GLOBAL_ALL_GATHER -> Delivery.toHosts(cell, remote).ringPieces(network);
      case SPLIT_BROADCAST -> Delivery.toHosts(cell, remote).split();
      case BROADCAST, AUTO -> List.of(Delivery.toHosts(cell, remote));
    };
  }

  private static List<Delivery> toDevices(Cell cell, List<Integer> remote) {
    List<Delivery> deliveries = new ArrayList<>();
    for (int i : remote) {
      for (int device : cell.receivers().byHost().get(i)) {
        deliveries.add(Delivery.toDevice(cell, i, device));
      }
    }
    return deliveries;
  }

  /** Routes of slices whose senders and order are decided; chains rotate as for order size. */
  static List<Route> route(List<Piece> pieces, Network network) {
    Router router = new Router(network, Order.SIZE);
    pieces.forEach(piece -> router.send(piece.delivery(), piece.holder()));
    return router.routes;
  }

  private void send(Delivery delivery, int from) {
    Cell cell = delivery.cell();
    if (delivery.ring() > 0) {
      for (Route hop : rings.add(Piece.whole(delivery, from))) {
        spend(hop.hosts().getFirst(), hop.bytes());
        emit(hop);
      }
      return;
    }
    int sender = cell.holders().hosts().get(from);
    spend(sender, delivery.bytes());
    emit(
        new Route(
            cell,
            delivery.box(),
            delivery.bytes(),
            cell.holders().first(from),
            delivery.receivers(),
            chain(sender, delivery),
            null));
  }

  private List<Integer> chain(int sender, Delivery delivery) {
    if (delivery.hosts().size() == 1) {
      return network.hop(sender, delivery.hosts().getFirst());
    }
    List<Integer> chain = new ArrayList<>(delivery.hosts());
    if (order != Order.NAIVE) {
      chain.sort(Comparator.comparingDouble(host -> egress[host]));
    }
    for (int host : chain.subList(0, chain.size() - 1)) {
      spend(host, delivery.bytes());
    }
    chain.addFirst(sender);
    return List.copyOf(chain);
  }

  /** Position of the sending host among the holders. */
  private int chooseSender(Delivery delivery) {
    List<Integer> hosts = delivery.cell().holders().hosts();
    if (order == Order.NAIVE) {
      return delivery.part() % hosts.size();
    }
    int best = 0;
    double least = Double.POSITIVE_INFINITY;
    for (int i = 0; i < hosts.size(); i++) {
      int host = hosts.get(i);
      double load = egress[host] + delivery.bytes() / network.bandwidth(host);
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

  private void emit(Route route) {
    checkCount(routes.size() + 1);
    routes.add(route);
  }

  static void checkCount(int moves) {
    if (moves > Plan.MAX_MOVES) {
      throw PlanChecks.layout(
          "The plan has more than %d moves; use strategy broadcast, coarser layouts or fewer tensors."
              .formatted(Plan.MAX_MOVES));
    }
  }
}
