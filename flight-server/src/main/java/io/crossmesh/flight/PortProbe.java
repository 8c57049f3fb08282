package io.crossmesh.flight;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.SocketTimeoutException;

/**
 * Connects to an address once, because gRPC says only "io exception" where the kernel says what is
 * wrong, and waits for far longer where nothing answers.
 */
final class PortProbe {
  static final int LIMIT_MILLIS = 2_000;

  private PortProbe() {}

  /**
   * Returns when something takes connections there.
   *
   * @param self the host that connects
   * @throws CrossmeshException AGENT_UNAVAILABLE with the reason and the remedy
   */
  static void connect(PeerAddress peer, String self) {
    HostPort door = peer.address();
    InetSocketAddress address = new InetSocketAddress(door.host(), door.port());
    if (address.isUnresolved()) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "the name '%s' does not resolve on host '%s'; correct --peer %s=%s or the name service."
              .formatted(door.host(), self, peer.name(), door));
    }
    try (Socket socket = new Socket()) {
      socket.connect(address, LIMIT_MILLIS);
    } catch (SocketTimeoutException e) {
      throw silent(door, e);
    } catch (IOException e) {
      String said = String.valueOf(e.getMessage());
      if (said.contains("refused")) {
        throw unreached(
            "%s refuses connections, so no agent listens there; start '%s' with a --bind and --flight-port that '%s' reaches, or correct --peer %s=%s"
                .formatted(door, peer.name(), self, peer.name(), door),
            e);
      }
      if (said.startsWith("No route to host")) {
        // The kernel says it when it has asked for the host for longer than we wait, or has before.
        throw silent(door, e);
      }
      throw unreached(
          "there is no way to %s (%s); look at the addresses, routes and NICs of both hosts"
              .formatted(door, said),
          e);
    }
  }

  private static CrossmeshException silent(HostPort door, IOException e) {
    return unreached(
        "nothing answers at %s; see that its host is up, and that the network lets TCP through to this port"
            .formatted(door),
        e);
  }

  private static CrossmeshException unreached(String reason, IOException e) {
    return new CrossmeshException(Code.AGENT_UNAVAILABLE, reason + ".", e);
  }
}
