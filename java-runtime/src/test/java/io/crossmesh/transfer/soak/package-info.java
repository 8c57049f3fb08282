/** Long runs of the simulation; {@code make soak} starts them. */
@NullMarked
package io.crossmesh.transfer.soak;

import org.jspecify.annotations.NullMarked;
