package io.crossmesh.plan;

import io.crossmesh.mesh.Mesh;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The devices that hold, or need, one tile. One object per tile, shared by all its unit tasks.
 *
 * @param devices ascending
 * @param hosts their distinct hosts in order of first device, as numbers of the {@link Network}
 * @param byHost the devices of each of {@code hosts}
 */
record Group(List<Integer> devices, List<Integer> hosts, List<List<Integer>> byHost) {
  static Group of(Mesh mesh, List<Integer> devices, Network network) {
    Map<String, List<Integer>> byHost = new LinkedHashMap<>();
    for (int device : devices) {
      byHost.computeIfAbsent(mesh.hostOf(device), h -> new ArrayList<>()).add(device);
    }
    List<Integer> hosts = new ArrayList<>();
    List<List<Integer>> lists = new ArrayList<>();
    byHost.forEach(
        (host, list) -> {
          hosts.add(network.id(host));
          lists.add(List.copyOf(list));
        });
    return new Group(List.copyOf(devices), List.copyOf(hosts), List.copyOf(lists));
  }

  /** The devices on a host that is one of {@link #hosts}. */
  List<Integer> on(int host) {
    return byHost.get(hosts.indexOf(host));
  }

  /** The device of lowest index on the host at a position of {@link #hosts}. */
  int first(int position) {
    return byHost.get(position).getFirst();
  }
}
