/**
 * The one owner of native memory: a shared-memory arena with a hard budget, its slots, and the copy
 * loops between a tile and the packed bytes of a box of it. Knows nothing of channels or networks.
 */
@NullMarked
package io.crossmesh.memory;

import org.jspecify.annotations.NullMarked;
