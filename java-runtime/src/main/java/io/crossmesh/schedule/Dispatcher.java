package io.crossmesh.schedule;

/** Says what a stage does next. */
interface Dispatcher {
  /** The number of the operation that the stage should start now, or -1 to wait; no effects. */
  int next(int stage);

  /** The operation has started. */
  void started(int task);
}
