package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToIntFunction;

/**
 * Which part of each delivery leaves from which of its holders: by the flow that {@link Shares}
 * finds among all holders, by that among the nearest, those with the fewest shared limits before
 * them, or by a mean of both. The flow knows of NICs alone: where an uplink is tight, the nearest
 * have to send more, and how much more shows in the prediction.
 */
final class Senders {
  private final ToIntFunction<Delivery> classOf;
  private final Network network;
  private final double nearPart;
  private final Shares all;
  private final Shares near;

  /** Senders by class, 0 being the most urgent; {@code nearPart} is the weight of the nearest. */
  Senders(
      List<Delivery> deliveries,
      int classes,
      ToIntFunction<Delivery> classOf,
      Network network,
      double nearPart) {
    this.classOf = classOf;
    this.network = network;
    this.nearPart = nearPart;
    List<HostBytes> toAll = new ArrayList<>();
    List<HostBytes> toNear = new ArrayList<>();
    for (int k = 0; k < classes; k++) {
      toAll.add(new HostBytes());
      toNear.add(new HostBytes());
    }
    for (Delivery delivery : deliveries) {
      int urgency = classOf.applyAsInt(delivery);
      toAll.get(urgency).add(holders(delivery), delivery.bytes());
      if (nearPart > 0) {
        toNear.get(urgency).add(nearest(delivery), delivery.bytes());
      }
    }
    all = shares(toAll, network);
    near = nearPart > 0 ? shares(toNear, network) : all;
  }

  private static Shares shares(List<HostBytes> demands, Network network) {
    return Shares.of(demands.stream().map(HostBytes::total).toList(), network);
  }

  /** Deliveries that are dealt out to the same holders in the same parts. */
  record Source(int urgency, List<Integer> holders, List<Integer> nearest) {}

  Source source(Delivery delivery) {
    return new Source(classOf.applyAsInt(delivery), holders(delivery), nearest(delivery));
  }

  /** The part of each holder. */
  double[] shares(Source source) {
    double[] shares = all.of(source.urgency, source.holders);
    if (nearPart > 0) {
      shares = Arrays.stream(shares).map(share -> share * (1 - nearPart)).toArray();
      double[] of = near.of(source.urgency, source.nearest);
      for (int i = 0; i < of.length; i++) {
        shares[source.holders.indexOf(source.nearest.get(i))] += nearPart * of[i];
      }
    }
    return shares;
  }

  private static List<Integer> holders(Delivery delivery) {
    return delivery.cell().holders().hosts();
  }

  private List<Integer> nearest(Delivery delivery) {
    if (nearPart == 0) {
      return holders(delivery);
    }
    int[] limits =
        holders(delivery).stream()
            .mapToInt(
                host ->
                    delivery.hosts().stream()
                        .mapToInt(to -> network.limits(host, to))
                        .min()
                        .orElse(0))
            .toArray();
    int fewest = Arrays.stream(limits).min().orElse(0);
    List<Integer> nearest = new ArrayList<>();
    for (int i = 0; i < limits.length; i++) {
      if (limits[i] == fewest) {
        nearest.add(holders(delivery).get(i));
      }
    }
    return nearest;
  }
}
