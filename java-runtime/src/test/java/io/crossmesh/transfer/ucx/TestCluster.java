package io.crossmesh.transfer.ucx;

/** Options of transports that belong together. */
final class TestCluster {
  private static final ClusterSecret SECRET = ClusterSecret.of("the token of the tests");

  private TestCluster() {}

  /** Listening on an address; nobody is to be refused. */
  static UcxOptions bind(String host) {
    return UcxOptions.bind(host, SECRET, () -> {});
  }
}
