package io.crossmesh.flight;

import java.util.Optional;
import org.apache.arrow.flight.Location;

/** Where the Flight doors of hosts are. */
@FunctionalInterface
interface Locations {
  /** The door of a host, if it is known. */
  Optional<Location> of(String host);
}
