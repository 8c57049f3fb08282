package io.crossmesh.host;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.net.UnknownHostException;
import java.util.Optional;

/** The network interfaces of this host, as far as they decide whether an agent can listen. */
public final class Nics {
  private static final int LOOPBACK_MILLIS_MAX = 10_000;

  private Nics() {}

  /**
   * The NIC of an address that has no carrier or is down; empty if it works, or if the address
   * stands for all NICs.
   *
   * @throws CrossmeshException AGENT_UNAVAILABLE if no NIC has the address, or the name of it does
   *     not resolve
   */
  public static Optional<String> idle(String bind) {
    try {
      InetAddress address = InetAddress.getByName(bind);
      if (address.isAnyLocalAddress()) {
        return Optional.empty();
      }
      NetworkInterface nic = NetworkInterface.getByInetAddress(address);
      if (nic == null) {
        // Linux lets programs listen on all of 127.0.0.0/8, which no NIC names.
        if (address.isLoopbackAddress()) {
          return Optional.empty();
        }
        throw new CrossmeshException(
            Code.AGENT_UNAVAILABLE,
            "no NIC of this host has the address --bind %s; 'ip addr' lists those that there are."
                .formatted(bind));
      }
      return nic.isUp() ? Optional.empty() : Optional.of(nic.getName());
    } catch (UnknownHostException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "--bind %s does not resolve to an address; give an address of this host.".formatted(bind),
          e);
    } catch (SocketException e) {
      // Opening the door says what is wrong.
      return Optional.empty();
    }
  }

  /**
   * Refuses a host whose loopback is down: its processes could not reach each other.
   *
   * @throws CrossmeshException AGENT_UNAVAILABLE
   */
  public static void requireLoopback() {
    InetAddress loopback = InetAddress.getLoopbackAddress();
    try (ServerSocket server = new ServerSocket(0, 1, loopback);
        Socket client = new Socket()) {
      client.connect(server.getLocalSocketAddress(), LOOPBACK_MILLIS_MAX);
    } catch (IOException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "%s takes no connections (%s), so programs of this host do not reach this one; switch the loopback interface on with: ip link set lo up."
              .formatted(loopback.getHostAddress(), e.getMessage()),
          e);
    }
  }
}
