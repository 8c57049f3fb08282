package io.crossmesh.flight;

import io.grpc.ProxyDetector;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import org.apache.arrow.flight.Location;

/** How Flight's connections are protected; the same for all agents of a cluster. */
public sealed interface DoorSecurity extends AutoCloseable permits PlainDoor, TlsDoor {
  /** Agents of a cluster reach each other directly, whatever proxy is set for the web. */
  ProxyDetector DIRECT = address -> null;

  /** No encryption: for loopback, and for networks that are trusted. */
  static DoorSecurity plain() {
    return new PlainDoor();
  }

  /**
   * TLS.
   *
   * @param files certificates and key
   * @param certificate told of each client without a certificate, or with one that the authority
   *     has not signed or that is not valid now
   * @param handshake told of each other client whose handshake came to nothing
   * @throws io.crossmesh.CrossmeshException with {@code AUTH} if a file cannot be read or is wrong
   */
  static DoorSecurity tls(TlsFiles files, Runnable certificate, Runnable handshake) {
    return TlsDoor.open(files, certificate, handshake);
  }

  /** Protects the door. */
  void protect(NettyServerBuilder door);

  /** Protects a call to another agent's door. */
  void protect(NettyChannelBuilder call);

  /** What clients are told about where a door is. */
  Location location(String host, int port);

  /** Whether connections are encrypted. */
  boolean encrypted();

  @Override
  void close();
}
