package io.crossmesh.flight.bulk;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.transfer.Transport;
import io.crossmesh.transfer.contract.Flood;
import io.crossmesh.transfer.contract.OwnerNode;
import io.crossmesh.transfer.contract.TransportContract;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The contract over gRPC streams, and what is theirs alone. */
final class BulkTransportTest extends TransportContract {
  @TempDir Path directory;
  private int made;

  @Override
  protected Transport make() throws Exception {
    return make(DoorTransport.TOKEN);
  }

  /** Many pieces already. */
  @Override
  protected long bytesMax() {
    return 4 << 20;
  }

  private Transport make(String token) throws Exception {
    return DoorTransport.open(directory.resolve("bell" + made++), token);
  }

  @Test
  void aPeerWithAnotherTokenIsLostWithTheReason() throws Exception {
    try (OwnerNode a = new OwnerNode(1, make("another token"));
        OwnerNode b = new OwnerNode(2, make())) {
      a.connect(20, b.transport.address());
      Flood flood = a.send(20, 3, 100, 3, false);
      a.await("the loss", 10_000, () -> a.lost().containsKey(20));
      assertThat(a.lost().get(20)).contains("the token is wrong");
      assertThat(flood.result.get(10, TimeUnit.SECONDS)).isEqualTo(3);
      assertThat(b.heard(1).messages()).isZero();
    }
  }

  @Test
  void aPeerThatSpeaksInAnothersNameIsCutOff() throws Exception {
    try (OwnerNode a = new OwnerNode(1, make());
        OwnerNode b = new OwnerNode(2, make())) {
      a.connect(20, b.transport.address());
      a.send(20, 1, 100, 1, false);
      b.await("a's message", 10_000, () -> b.heard(1).messages() == 1);
      a.forge(20, 7);
      a.await("the loss", 10_000, () -> a.lost().containsKey(20));
      assertThat(a.lost().get(20)).contains("in another agent's name");
      assertThat(b.heard(7).messages()).isZero();
    }
  }
}
