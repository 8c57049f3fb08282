package io.crossmesh.transfer.ucx;

/**
 * What can be chosen of a {@link UcxTransport}.
 *
 * @param bindHost the address to listen on, also the one that peers are told
 * @param eagerBytesMax payloads up to this size travel with their header and are copied on arrival;
 *     larger ones wait until the receiver has named their place and are written there. Beyond one
 *     fragment of the network, about 8 KiB over TCP, eager messages could overtake each other
 * @param secret what both ends of a connection prove that they know
 * @param refused told of each connection that does not, and of each message of none that does
 */
public record UcxOptions(
    String bindHost, int eagerBytesMax, ClusterSecret secret, Runnable refused) {
  /** Within one fragment of every transport, header and UCX's own framing included. */
  public static final int EAGER_BYTES_MAX = 4096;

  public UcxOptions {
    if (eagerBytesMax < 0) {
      throw new IllegalArgumentException("a size is not negative");
    }
  }

  /** Listening on an address, the rest as measured. */
  public static UcxOptions bind(String host, ClusterSecret secret, Runnable refused) {
    return new UcxOptions(host, EAGER_BYTES_MAX, secret, refused);
  }
}
