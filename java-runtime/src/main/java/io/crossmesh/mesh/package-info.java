/**
 * Values that say where a tensor lies: devices, meshes, shardings, boxes, dtypes, and the network
 * between the hosts. All are immutable and validated when they are made, so whatever holds one may
 * trust it. Pure: no native code, no threads, no clock.
 */
@NullMarked
package io.crossmesh.mesh;

import org.jspecify.annotations.NullMarked;
