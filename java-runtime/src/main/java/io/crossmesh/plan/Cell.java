package io.crossmesh.plan;

/**
 * A unit task with what the planner needs at hand.
 *
 * @param task the task
 * @param holders who holds the slice
 * @param receivers who needs it
 * @param bytes size of the slice
 */
record Cell(UnitTask task, Group holders, Group receivers, long bytes) {}
