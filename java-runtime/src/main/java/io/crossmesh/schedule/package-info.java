/**
 * Pipeline schedules and the simulator that times them. A schedule is one list of operations per
 * stage; who makes it checks it. The simulator runs those lists against seconds per stage and per
 * boundary, event by event. Pure and deterministic: no clock, no thread, times are whole
 * picoseconds, and the same input gives the same schedule, digest and times on every host.
 */
@NullMarked
package io.crossmesh.schedule;

import org.jspecify.annotations.NullMarked;
