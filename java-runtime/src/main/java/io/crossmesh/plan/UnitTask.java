package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import java.util.List;

/**
 * The paper's unit communication task: one slice with one set of holders and one set of receivers.
 *
 * @param tensor index of the tensor in the request
 * @param box the slice, in elements of the whole tensor; never empty
 * @param senders devices of the source mesh that hold it, ascending
 * @param receivers devices of the destination mesh that need it, ascending
 */
public record UnitTask(int tensor, Box box, List<Integer> senders, List<Integer> receivers) {
  public UnitTask {
    senders = List.copyOf(senders);
    receivers = List.copyOf(receivers);
  }
}
