/** Benchmarks of the planner: what is planned, how it is timed, and the table with the limits. */
@NullMarked
package io.crossmesh.bench;

import org.jspecify.annotations.NullMarked;
