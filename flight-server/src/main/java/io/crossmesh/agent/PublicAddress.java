package io.crossmesh.agent;

import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;

/**
 * Tells addresses that the whole Internet may reach from those of a private network: loopback,
 * link-local, RFC 1918, shared (RFC 6598) and unique local IPv6 (RFC 4193).
 */
final class PublicAddress {
  private static final int SHARED_FIRST = 100;
  private static final int SHARED_SECOND_MASK = 0xC0;
  private static final int SHARED_SECOND = 64;
  private static final int UNIQUE_LOCAL_MASK = 0xFE;
  private static final int UNIQUE_LOCAL = 0xFC;

  private PublicAddress() {}

  /** Whether a host's address is one; a name that does not resolve is none. */
  static boolean is(String host) {
    try {
      InetAddress address = InetAddress.getByName(host);
      return !address.isAnyLocalAddress()
          && !address.isLoopbackAddress()
          && !address.isLinkLocalAddress()
          && !address.isSiteLocalAddress()
          && !isUniqueLocalOrShared(address);
    } catch (UnknownHostException e) {
      return false;
    }
  }

  /** Whether nobody but processes of this machine reaches a host's address. */
  static boolean isLoopback(String host) {
    try {
      return InetAddress.getByName(host).isLoopbackAddress();
    } catch (UnknownHostException e) {
      return false;
    }
  }

  /** Whether a host's address stands for all of the machine. */
  static boolean isAny(String host) {
    try {
      return InetAddress.getByName(host).isAnyLocalAddress();
    } catch (UnknownHostException e) {
      return false;
    }
  }

  private static boolean isUniqueLocalOrShared(InetAddress address) {
    byte[] bytes = address.getAddress();
    return address instanceof Inet6Address
        ? (bytes[0] & UNIQUE_LOCAL_MASK) == UNIQUE_LOCAL
        : (bytes[0] & 0xFF) == SHARED_FIRST && (bytes[1] & SHARED_SECOND_MASK) == SHARED_SECOND;
  }
}
