package io.crossmesh.transfer;

import io.crossmesh.mesh.Box;
import io.crossmesh.plan.Plan;
import java.util.List;

/**
 * What a participant learns when its channel opens.
 *
 * @param plan the plan all hosts agreed on
 * @param channelId incarnation of the channel
 * @param tiles where this process's tiles lie in a set. Destination side: one for each tensor and
 *     distinct box, empty ones too. Source side: only those that a move reads from this process
 * @param setBytes size of a set
 * @param stagingSets arena offsets of the staging sets; empty on the destination side
 */
public record OpenInfo(
    Plan plan, long channelId, List<Tile> tiles, long setBytes, List<Long> stagingSets) {
  public OpenInfo {
    tiles = List.copyOf(tiles);
    stagingSets = List.copyOf(stagingSets);
  }

  /**
   * A tile in a set.
   *
   * @param tensor index of the tensor
   * @param devices devices of this process that hold it, positions in the mesh of its side
   * @param box its part of the tensor
   * @param offset where it begins in a set, in bytes; a multiple of 64
   * @param bytes its size
   */
  public record Tile(int tensor, List<Integer> devices, Box box, long offset, long bytes) {
    public Tile {
      devices = List.copyOf(devices);
    }
  }
}
