package io.crossmesh.agent;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.flight.Quotas;
import picocli.CommandLine.Option;

/** How much of the Flight door one client may take at a time. */
final class QuotaOptions {
  @Option(
      names = "--flight-calls",
      defaultValue = Quotas.CALLS_DEFAULT,
      paramLabel = "N",
      description = "Flight calls at a time of one client. Default: ${DEFAULT-VALUE}.")
  private int calls;

  @Option(
      names = "--flight-bytes",
      defaultValue = Quotas.BYTES_DEFAULT,
      paramLabel = "SIZE",
      description = "Bytes that one client's Flight calls may hold. Default: ${DEFAULT-VALUE}.")
  private DataSize bytes = new DataSize(0);

  Quotas freeze() {
    try {
      return new Quotas(calls, bytes.bytes());
    } catch (IllegalArgumentException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE, "--flight-calls and --flight-bytes are at least 1.", e);
    }
  }
}
