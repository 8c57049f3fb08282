package io.crossmesh.transfer.ucx;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.transfer.Transport;
import io.crossmesh.transfer.contract.TransportContract;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** The contract over real UCX. */
final class UcxTransportIT extends TransportContract {
  /** Without UCX there is nothing to test, and that is a failure with its remedy. */
  @BeforeAll
  static void ucxIsThere() {
    UcxLibrary.require();
  }

  @Override
  protected Transport make() {
    return new UcxTransport(TestCluster.bind("127.0.0.1"));
  }

  @Test
  void anAddressThatItCannotHaveIsNamed() {
    for (String host : List.of("0.0.0.0", "203.0.113.7", "no.such.host.invalid")) {
      UcxTransport homeless = new UcxTransport(TestCluster.bind(host));
      assertThatThrownBy(() -> homeless.start(new Quiet())).hasMessageContaining(host);
      homeless.close();
    }
  }
}
