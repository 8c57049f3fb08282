package io.crossmesh.flight;

import io.crossmesh.Code;
import org.apache.arrow.flight.CallStatus;
import org.apache.arrow.flight.FlightRuntimeException;

/** Failures that Flight has a status for and {@link Code} does not. */
final class Missing {
  private Missing() {}

  static FlightRuntimeException notFound(String message) {
    return CallStatus.NOT_FOUND
        .withDescription(Code.LAYOUT.pythonName() + ": " + message)
        .toRuntimeException();
  }

  static FlightRuntimeException exists(String message) {
    return CallStatus.ALREADY_EXISTS
        .withDescription(Code.LAYOUT.pythonName() + ": " + message)
        .toRuntimeException();
  }
}
