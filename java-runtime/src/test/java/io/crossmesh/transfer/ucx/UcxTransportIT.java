package io.crossmesh.transfer.ucx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import io.crossmesh.transfer.Transport;
import io.crossmesh.transfer.contract.Flood;
import io.crossmesh.transfer.contract.OwnerNode;
import io.crossmesh.transfer.contract.TransportContract;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
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
  void theEndOfTheConnectionThatAnswersGoByIsTheLossOfThePeer() throws Exception {
    try (OwnerNode a = new OwnerNode(1, make());
        OwnerNode b = new OwnerNode(2, make())) {
      a.connect(20, b.transport.address());
      b.connect(10, a.transport.address());
      answer(a, b);
      a.hold();
      Flood flood = b.send(10, 4, 1 << 20, 2, false);
      a.await("the announcements", 20_000, () -> a.held() == 2);
      a.abandon(20);
      assertThat(flood.result.get(20, TimeUnit.SECONDS)).isPositive();
      b.await("the loss of a", 5_000, () -> b.lost().containsKey(10));
      a.await("the end of what was announced", 20_000, () -> a.heard(2).failed() == 2);
      a.fetchHeld();
      assertThat(b.send(10, 1, 8, 1, false).result.get(20, TimeUnit.SECONDS)).isEqualTo(1);

      a.connect(21, b.transport.address());
      b.connect(11, a.transport.address());
      assertThat(a.send(21, 3, 1 << 20, 1, false).result.get(20, TimeUnit.SECONDS)).isZero();
      b.answerBy(11, 1);
      assertThat(b.send(11, 3, 1 << 20, 1, false).result.get(20, TimeUnit.SECONDS)).isZero();
      assertThat(a.lost()).isEmpty();
      assertThat(b.lost()).hasSize(1);
      assertThat(a.errors()).isEmpty();
      assertThat(b.errors()).isEmpty();
    }
  }

  @Test
  void onlyTheThreadThatStartsItMayUseIt() throws Exception {
    try (UcxTransport transport = new UcxTransport(TestCluster.bind("127.0.0.1"))) {
      transport.start(new Quiet());
      CompletableFuture<Throwable> thrown = new CompletableFuture<>();
      Thread.ofPlatform()
          .name("stranger")
          .start(() -> thrown.complete(catchThrowable(transport::progress)));
      assertThat(thrown.get(20, TimeUnit.SECONDS))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("thread 'stranger' calls it");
      assertThat(transport.progress()).isNotNegative();
    }
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
