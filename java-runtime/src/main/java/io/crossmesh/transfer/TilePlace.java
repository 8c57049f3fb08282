package io.crossmesh.transfer;

import io.crossmesh.memory.TileLayout;

/**
 * Where the slice of a move lies in a set.
 *
 * @param tile where its tile begins in the set, in bytes
 * @param layout how the slice lies in the tile
 */
record TilePlace(long tile, TileLayout layout) {
  boolean contiguous() {
    return layout.contiguous();
  }

  /** Where the packed byte {@code from} of a contiguous slice lies in the set. */
  long at(long from) {
    return tile + layout.offset() + from;
  }
}
