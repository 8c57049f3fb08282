package io.crossmesh.flight;

import com.fasterxml.jackson.databind.JsonNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.JsonValue;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.netty.NettyChannelBuilder;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.Iterator;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.CallOptions;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightGrpcUtils;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStatusCode;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Result;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.flight.grpc.CredentialCallOption;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.FieldVector;

/** Calls another agent's Flight door. Every call has a limit; every failure is one of ours. */
final class PeerClient implements AutoCloseable {
  static final Duration SLICE_LIMIT = Duration.ofSeconds(60);

  private final HostPort address;
  private final ManagedChannel channel;
  private final FlightClient client;
  private final CallOption credentials;
  private volatile boolean sameConnection;

  PeerClient(BufferAllocator allocator, HostPort address, String token, DoorSecurity security) {
    this.address = address;
    NettyChannelBuilder call =
        NettyChannelBuilder.forAddress(address.host(), address.port())
            .maxTraceEvents(0)
            .proxyDetector(DoorSecurity.DIRECT)
            .maxInboundMessageSize(Integer.MAX_VALUE);
    security.protect(call);
    this.channel = call.build();
    this.client = FlightGrpcUtils.createFlightClient(allocator, channel);
    this.credentials =
        new CredentialCallOption(headers -> headers.insert("authorization", "Bearer " + token));
  }

  HostPort address() {
    return address;
  }

  /** Connects at the next call, although connecting may have failed a moment ago. */
  void connectNow() {
    channel.resetConnectBackoff();
  }

  /** Notes that the agent has just said who it is. */
  void met() {
    if (!sameConnection) {
      sameConnection = true;
      channel.notifyWhenStateChanged(ConnectivityState.READY, () -> sameConnection = false);
    }
  }

  /** Whether the connection over which {@link #met} stands: its other end is the same process. */
  boolean sameConnection() {
    return sameConnection;
  }

  /** Asks for an action that has one answer. */
  JsonValue action(String type, JsonNode body, Duration limit) {
    try {
      Iterator<Result> results =
          client.doAction(new Action(type, Requests.write(body)), credentials, timeout(limit));
      byte[] answer = results.next().getBody();
      while (results.hasNext()) {
        results.next();
      }
      return Requests.read("answer of " + address, answer);
    } catch (FlightRuntimeException e) {
      throw failure(e);
    }
  }

  /**
   * Reads a slice whose tiles all lie on that host.
   *
   * @param out exactly as many bytes as the slice has
   * @return false if that host does not hold it
   */
  boolean slice(byte[] ticket, MemorySegment out) {
    try {
      FlightStream stream = client.getStream(new Ticket(ticket), credentials, timeout(SLICE_LIMIT));
      try {
        drain(stream, out);
      } finally {
        close(stream);
      }
      return true;
    } catch (FlightRuntimeException e) {
      if (e.status().code() == FlightStatusCode.NOT_FOUND) {
        return false;
      }
      throw failure(e);
    }
  }

  private void drain(FlightStream stream, MemorySegment out) {
    long at = 0;
    while (stream.next()) {
      FieldVector column = stream.getRoot().getVector(0);
      long bytes = Columns.bytes(column);
      if (bytes > out.byteSize() - at) {
        throw incomplete(at + bytes, out.byteSize());
      }
      Columns.read(column, out, at);
      at += bytes;
    }
    if (at != out.byteSize()) {
      throw incomplete(at, out.byteSize());
    }
  }

  private void close(FlightStream stream) {
    try {
      stream.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (Exception e) {
      throw new CrossmeshException(
          Code.INTERNAL, "the slice from %s failed: %s; ask again.".formatted(address, e), e);
    }
  }

  private CrossmeshException incomplete(long bytes, long expected) {
    return new CrossmeshException(
        Code.INTERNAL,
        "the agent at %s sent %d bytes of a slice of %d; ask again, and update the older of the two agents."
            .formatted(address, bytes, expected));
  }

  private CrossmeshException failure(FlightRuntimeException e) {
    CrossmeshException known = StatusBridge.toException(e);
    return known.code() == Code.AGENT_UNAVAILABLE
        ? new CrossmeshException(
            known.code(),
            "the agent at %s does not answer (%s); look at its log, and whether both ends have the same --tls options."
                .formatted(address, reason(known)),
            e)
        : known;
  }

  /** gRPC says only "io exception"; what it was is the innermost cause. */
  private static String reason(CrossmeshException failure) {
    Throwable deepest = failure;
    while (deepest.getCause() != null) {
      deepest = deepest.getCause();
    }
    String said = String.valueOf(failure.getMessage());
    String inner = deepest.getMessage();
    return inner == null || said.contains(inner) ? said : said + ": " + inner;
  }

  private static CallOption timeout(Duration limit) {
    return CallOptions.timeout(limit.toMillis(), TimeUnit.MILLISECONDS);
  }

  @Override
  public void close() {
    try {
      client.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
