/**
 * A cluster in one thread: real engines and arenas over a simulated network and clock. One seed is
 * one exact run.
 */
@NullMarked
package io.crossmesh.transfer.sim;

import org.jspecify.annotations.NullMarked;
