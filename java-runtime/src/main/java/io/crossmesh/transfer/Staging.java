package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.TensorReshard;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The tiles that a host stages, in the sets of those of its source participants that hold them. */
final class Staging {
  private final Plan plan;
  private final String host;
  private final List<SetLayout> layouts = new ArrayList<>();
  private final Map<Integer, Integer> stagerOf = new HashMap<>();

  /**
   * @param stagers the devices of each source participant of this host
   */
  Staging(Plan plan, String host, List<List<Integer>> stagers) {
    this.plan = plan;
    this.host = host;
    for (int stager = 0; stager < stagers.size(); stager++) {
      layouts.add(new SetLayout());
      for (int device : stagers.get(stager)) {
        stagerOf.put(device, stager);
      }
    }
  }

  /** Makes room for the tile of a device. */
  void add(int index, int device) {
    TensorReshard tensor = plan.request().tensors().get(index);
    int stager = stagerOf(device);
    if (stager == HostMove.NONE) {
      throw new CrossmeshException(
          Code.INTERNAL,
          "The plan reads %s of device %d on host '%s', which no process there holds. Please report the plan."
              .formatted(tensor.tensor(), device, host));
    }
    layouts.get(stager).add(index, tensor.tensor(), tensor.src(), device);
  }

  /** The source participant that holds a device, or {@link HostMove#NONE}. */
  int stagerOf(int device) {
    return stagerOf.getOrDefault(device, HostMove.NONE);
  }

  /** The tiles of each source participant. */
  List<SetLayout> layouts() {
    return layouts;
  }
}
