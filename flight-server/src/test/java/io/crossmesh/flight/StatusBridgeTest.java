package io.crossmesh.flight;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import org.apache.arrow.flight.CallStatus;
import org.apache.arrow.flight.FlightStatusCode;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class StatusBridgeTest {
  @ParameterizedTest
  @EnumSource
  void everyCodeCrossesAndComesBack(Code code) {
    CallStatus status = StatusBridge.toStatus(new CrossmeshException(code, "what: to do."));
    assertThat(status.description()).isEqualTo(code.pythonName() + ": what: to do.");
    assertThat(status.metadata().get(StatusBridge.METADATA_KEY)).isEqualTo(code.pythonName());
    CrossmeshException back = StatusBridge.toException(status.toRuntimeException());
    assertThat(back.code()).isEqualTo(code);
    assertThat(back.getMessage()).isEqualTo("what: to do.");
  }

  @ParameterizedTest
  @EnumSource
  void everyStatusOfOthersIsOneOfOurs(FlightStatusCode code) {
    CallStatus status = new CallStatus(code).withDescription("somebody: else.");
    CrossmeshException failure = StatusBridge.toException(status.toRuntimeException());
    assertThat(failure.code()).isEqualTo(StatusBridge.codeOf(code));
    assertThat(failure.getMessage()).isEqualTo("somebody: else.");
  }

  @Test
  void whatIsNotForeseenIsInternal() {
    CallStatus status = StatusBridge.toStatus(new IllegalStateException("oops"));
    assertThat(status.code()).isEqualTo(FlightStatusCode.INTERNAL);
  }
}
