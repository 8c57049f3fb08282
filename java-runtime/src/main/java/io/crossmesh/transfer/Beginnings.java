package io.crossmesh.transfer;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * How a source host tells the destination hosts of a channel that it begins a step. A chunk that
 * can leave at once says so to the host that it goes to, which is then woken once for both and not
 * kept from the bytes by the news of them; all other hosts get a message.
 */
final class Beginnings {
  /** Packing or summing up to so many bytes does not keep the other hosts waiting. */
  private static final long QUICK_BYTES_MAX = 1 << 16;

  private final Node node;
  private final Channel channel;
  private final List<String> destinations;
  private final List<Link> links;
  private final int[] linkOf;

  /** By next host: the move whose first chunk shall tell it. */
  private final @Nullable OutMove[] tellers;

  Beginnings(
      Node node, Channel channel, HostPlan plan, List<String> destinations, List<Link> links) {
    this.node = node;
    this.channel = channel;
    this.destinations = destinations;
    this.links = links;
    this.linkOf = destinations.stream().mapToInt(plan.downstream()::indexOf).toArray();
    this.tellers = new OutMove[plan.downstream().size()];
  }

  /** A move of a step that is about to begin, before it is offered to its link. */
  void prepare(OutMove out) {
    int next = out.move().next();
    if (tellers[next] == null && isQuick(out.move())) {
      tellers[next] = out;
      out.begins(true);
    }
  }

  private boolean isQuick(HostMove move) {
    return move.bytes() <= QUICK_BYTES_MAX
        || (move.outgoing().contiguous() && !node.options().checksums());
  }

  /** Tells every destination host of a step whose moves that can leave are with their links. */
  void tell(long step) {
    for (int next = 0; next < tellers.length; next++) {
      if (tellers[next] != null) {
        links.get(next).pump();
      }
    }
    for (int i = 0; i < linkOf.length; i++) {
      OutMove teller = linkOf[i] < 0 ? null : tellers[linkOf[i]];
      // What the window kept back leaves later, without the news.
      if (teller == null || teller.begins()) {
        node.outbox().send(destinations.get(i), MessageKind.START, channel.id(), step);
      }
    }
    for (int next = 0; next < tellers.length; next++) {
      OutMove teller = tellers[next];
      if (teller != null) {
        teller.begins(false);
        tellers[next] = null;
      }
    }
  }
}
