package io.crossmesh.transfer;

/** The one source of time of the transfer layer; a simulation supplies its own. */
@FunctionalInterface
public interface Clock {
  /** Nanoseconds since an arbitrary origin; never runs backwards. */
  long nanos();
}
