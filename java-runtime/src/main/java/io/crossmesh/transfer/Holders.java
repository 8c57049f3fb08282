package io.crossmesh.transfer;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.TensorReshard;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Which other hosts may have what a move brings here, best first; worked out when it is asked. */
final class Holders {
  private final HostPlan plan;
  private final String self;
  private final Map<Integer, List<String>> known = new HashMap<>();

  Holders(HostPlan plan, String self) {
    this.plan = plan;
    this.self = self;
  }

  /** The host that staged the slice, other source hosts with it, destination hosts with it. */
  List<String> of(int move) {
    return known.computeIfAbsent(move, this::find);
  }

  private List<String> find(int index) {
    Set<String> hosts = new LinkedHashSet<>();
    hosts.add(plan.originHost(index));
    List<Move> members =
        plan.everywhere().members(index).stream().map(plan.plan().moves()::get).toList();
    for (Move move : members) {
      hosts.addAll(hosts(move, tensor(move).src()));
    }
    for (Move move : members) {
      hosts.addAll(hosts(move, tensor(move).dst()));
    }
    hosts.remove(self);
    return List.copyOf(hosts);
  }

  private List<String> hosts(Move move, Sharding layout) {
    List<String> hosts = new ArrayList<>();
    for (int device = 0; device < layout.mesh().size(); device++) {
      Box tile = layout.tile(tensor(move).tensor().shape(), device);
      if (tile.contains(move.box())) {
        hosts.add(layout.mesh().hostOf(device));
      }
    }
    return hosts;
  }

  private TensorReshard tensor(Move move) {
    return plan.plan().request().tensors().get(move.tensor());
  }
}
