package io.crossmesh.flight;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.util.Arrays;
import java.util.Optional;
import org.apache.arrow.flight.CallStatus;
import org.apache.arrow.flight.ErrorFlightMetadata;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStatusCode;
import org.apache.arrow.memory.OutOfMemoryException;

/**
 * The one bridge between {@link Code} and Flight's {@link CallStatus}, both ways.
 *
 * <p>Flight has fewer kinds of failure than crossmesh, so the name of the code goes along twice: in
 * the metadata {@value #METADATA_KEY}, and at the head of the description, {@code "PlanMismatch:
 * ..."}, for clients whose Flight library shows no metadata.
 */
final class StatusBridge {
  static final String METADATA_KEY = "crossmesh-code";

  private static final String SEPARATOR = ": ";

  private StatusBridge() {}

  /** The status of a failure; whatever is not a known kind of failure is INTERNAL. */
  static CallStatus toStatus(Throwable failure) {
    return switch (failure) {
      case FlightRuntimeException known -> known.status();
      case CrossmeshException known -> toStatus(known.code(), known.getMessage());
      case OutOfMemoryException full ->
          CallStatus.RESOURCE_EXHAUSTED.withDescription(
              "the agent's Flight buffers are full; send smaller batches, or try again later.");
      default ->
          toStatus(Code.INTERNAL, "unforeseen failure in the agent: " + failure).withCause(failure);
    };
  }

  static CallStatus toStatus(Code code, String message) {
    return withCode(statusOf(code), code, message);
  }

  /** A status that tells more than that of its code. */
  static CallStatus withCode(CallStatus status, Code code, String message) {
    ErrorFlightMetadata metadata = new ErrorFlightMetadata();
    metadata.insert(METADATA_KEY, code.pythonName());
    return status.withDescription(code.pythonName() + SEPARATOR + message).withMetadata(metadata);
  }

  /** The failure that a status of another agent, or of the way to it, stands for. */
  static CrossmeshException toException(FlightRuntimeException failure) {
    CallStatus status = failure.status();
    String description = Optional.ofNullable(status.description()).orElse(status.code().name());
    int separator = description.indexOf(SEPARATOR);
    Optional<Code> named =
        separator < 0 ? Optional.empty() : codeNamed(description.substring(0, separator));
    return named
        .map(
            code ->
                new CrossmeshException(
                    code, description.substring(separator + SEPARATOR.length()), failure))
        .orElseGet(() -> new CrossmeshException(codeOf(status.code()), description, failure));
  }

  static CallStatus statusOf(Code code) {
    return switch (code) {
      case LAYOUT, PLAN_MISMATCH, STEP_MISMATCH, SCHEDULE -> CallStatus.INVALID_ARGUMENT;
      case PEER_LOST, AGENT_UNAVAILABLE -> CallStatus.UNAVAILABLE;
      case TRANSFER_TIMEOUT -> CallStatus.TIMED_OUT;
      case TRANSFER_CANCELLED -> CallStatus.CANCELLED;
      case ARENA_FULL, TOO_MANY_STEPS -> CallStatus.RESOURCE_EXHAUSTED;
      case AUTH -> CallStatus.UNAUTHENTICATED;
      case TRANSFER_CORRUPTED, INTERNAL -> CallStatus.INTERNAL;
    };
  }

  /** What a status without a name of ours means: it came from gRPC or from another server. */
  static Code codeOf(FlightStatusCode status) {
    return switch (status) {
      case INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, UNIMPLEMENTED -> Code.LAYOUT;
      case UNAVAILABLE -> Code.AGENT_UNAVAILABLE;
      case TIMED_OUT -> Code.TRANSFER_TIMEOUT;
      case CANCELLED -> Code.TRANSFER_CANCELLED;
      case RESOURCE_EXHAUSTED -> Code.ARENA_FULL;
      case UNAUTHENTICATED, UNAUTHORIZED -> Code.AUTH;
      case OK, UNKNOWN, INTERNAL -> Code.INTERNAL;
    };
  }

  private static Optional<Code> codeNamed(String name) {
    return Arrays.stream(Code.values()).filter(code -> code.pythonName().equals(name)).findFirst();
  }
}
