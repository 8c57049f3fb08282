package io.crossmesh.plan;

import java.util.Arrays;

/**
 * The paper's coarse model of time, for the orders that search with it: a slice occupies the NIC of
 * its sender and those of all its receivers for its bytes over the slowest of them, all at once.
 */
final class Occupancy {
  private final Network network;
  private final double[] sends;
  private final double[] receives;

  Occupancy(Network network) {
    this.network = network;
    sends = new double[network.size()];
    receives = new double[network.size()];
  }

  /** Seconds that a slice takes from a holder. */
  double seconds(Delivery delivery, int from) {
    double slowest = network.bandwidth(from);
    for (int host : delivery.hosts()) {
      slowest = Math.min(slowest, network.bandwidth(host));
    }
    return delivery.bytes() / slowest;
  }

  /** When all that a slice occupies is free. */
  double start(Delivery delivery, int from) {
    double start = sends[from];
    for (int host : delivery.hosts()) {
      start = Math.max(start, receives[host]);
    }
    return start;
  }

  /** Lets a slice occupy its NICs until a time. */
  void occupy(Delivery delivery, int from, double until) {
    sends[from] = until;
    for (int host : delivery.hosts()) {
      receives[host] = until;
    }
  }

  /** When a host is done with what it receives so far. */
  double receives(int host) {
    return receives[host];
  }

  /** When everything is done. */
  double end() {
    return Math.max(Arrays.stream(sends).max().orElse(0), Arrays.stream(receives).max().orElse(0));
  }

  /** A copy that changes on its own. */
  Occupancy copy() {
    Occupancy copy = new Occupancy(network);
    System.arraycopy(sends, 0, copy.sends, 0, sends.length);
    System.arraycopy(receives, 0, copy.receives, 0, receives.length);
    return copy;
  }
}
