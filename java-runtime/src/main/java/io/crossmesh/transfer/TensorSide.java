package io.crossmesh.transfer;

import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;

/** One tensor of a channel as one side states it: what it is, and how it lies on that side. */
public record TensorSide(TensorSpec tensor, Sharding layout) {}
