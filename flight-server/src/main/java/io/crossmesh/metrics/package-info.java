/**
 * What an agent counts, and the loopback door where Prometheus reads it. Nothing here is on the
 * path of a chunk: the engine counts for itself and is read when somebody asks; a step is timed
 * once, at its two ends.
 */
@NullMarked
package io.crossmesh.metrics;

import org.jspecify.annotations.NullMarked;
