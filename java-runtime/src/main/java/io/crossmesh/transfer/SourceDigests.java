package io.crossmesh.transfer;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Tells destination hosts the digests of the slices that processes of this host stage: to each host
 * those of what lands there, whoever brings it.
 */
final class SourceDigests {
  private final Node node;
  private final Channel channel;
  private final HostPlan plan;
  private final Digests digests;
  private final Map<String, Set<Integer>> wanted;

  SourceDigests(Node node, Channel channel, HostPlan plan, Digests digests) {
    this.node = node;
    this.channel = channel;
    this.plan = plan;
    this.digests = digests;
    this.wanted = plan.landingElsewhere();
  }

  /** A process has staged its tiles. */
  void staged(SourceStep.Part part, MemorySet set) {
    Telling telling = new Telling(part);
    for (List<HostMove> moves : List.of(plan.origins(), plan.locals())) {
      for (HostMove move : moves) {
        if (move.stager() == part.sender().index()) {
          telling.left++;
          digests.add(telling, move, move.source(), set);
        }
      }
    }
  }

  private final class Telling implements Digests.Wanted {
    private final SourceStep.Part part;
    private final Map<Integer, Long> found = new HashMap<>();
    private int left;

    Telling(SourceStep.Part part) {
      this.part = part;
    }

    @Override
    public boolean over() {
      return part.over() || part.released();
    }

    @Override
    public void done(HostMove move, long digest) {
      found.put(move.index(), digest);
      if (--left == 0) {
        wanted.forEach(this::tell);
      }
    }

    private void tell(String host, Set<Integer> moves) {
      List<ControlCodec.Digest> told = new ArrayList<>();
      found.forEach(
          (move, digest) -> {
            if (moves.contains(move)) {
              told.add(new ControlCodec.Digest(move, digest));
            }
          });
      if (!told.isEmpty()) {
        node.outbox()
            .send(
                host,
                MessageKind.DIGESTS,
                channel.id(),
                part.step().step(),
                ControlCodec.digests(told));
      }
    }
  }
}
