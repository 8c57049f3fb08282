package io.crossmesh.transfer.ucx;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.transfer.contract.Flood;
import io.crossmesh.transfer.contract.OwnerNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Transports in processes of their own, which can die. */
@Timeout(120)
final class UcxProcessesIT {
  private static final long MIB = 1 << 20;

  @TempDir Path temporary;

  @BeforeAll
  static void ucxIsThere() {
    UcxLibrary.require();
  }

  private PeerProcess peer(long name) throws Exception {
    return new PeerProcess(temporary, PeerMain.class, Long.toString(name));
  }

  @Test
  void processesExchangeMessagesAndEndWithoutErrors() throws Exception {
    try (OwnerNode a = new OwnerNode(1, new UcxTransport(TestCluster.bind("127.0.0.1")));
        PeerProcess b = peer(2)) {
      a.connect(20, b.expect("node address "));
      b.tell("connect 10 " + a.transport.address());
      b.tell("send 10 400 3000 8");
      b.tell("send 10 40 " + 2 * MIB + " 4");
      Flood there = a.send(20, 40, 2 * MIB, 4, false);
      assertThat(b.expect("node sent, failed ")).isEqualTo("0");
      assertThat(b.expect("node sent, failed ")).isEqualTo("0");
      assertThat(there.result.get(20, TimeUnit.SECONDS)).isZero();
      b.tell("send 10 100 " + MIB + " 100");
      b.tell("close");
      assertThat(b.expect("node closed ")).isEqualTo("[]");
      assertThat(b.exit()).isZero();
      a.await("every message", 20_000, () -> a.heard(2).messages() == 540);
      a.await("the end of b", 2_000, () -> a.lost().containsKey(20));
      assertThat(a.heard(2).failed()).isZero();
      assertThat(a.errors()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aKilledPeerIsNoticedAtOnceWhileTheOthersGoOn(boolean answers) throws Exception {
    try (OwnerNode a = new OwnerNode(1, new UcxTransport(TestCluster.bind("127.0.0.1")));
        PeerProcess b = peer(2);
        PeerProcess c = peer(3)) {
      a.connect(20, b.expect("node address "));
      a.connect(30, c.expect("node address "));
      for (PeerProcess peer : List.of(b, c)) {
        peer.tell("connect 10 " + a.transport.address());
        peer.tell("send 10 1000000 " + MIB + " 8");
        peer.tell("send 10 1000000 500 8");
      }
      Flood toB = a.send(20, 1_000_000, MIB, 8, false);
      Flood toC = a.send(30, 1_000_000, MIB, 8, false);
      a.await("traffic of both", 20_000, () -> heard(a, 2) > 50 && heard(a, 3) > 50);
      if (answers) {
        a.answerBy(20, 2);
        a.answerBy(30, 3);
      }

      b.kill();
      a.await("the loss of b", 2_000, () -> a.lost().containsKey(20));
      assertThat(toB.result.get(10, TimeUnit.SECONDS)).isPositive();

      long before = heard(a, 3);
      a.await("more of c", 10_000, () -> heard(a, 3) > before + 100);
      toC.stop();
      assertThat(toC.result.get(20, TimeUnit.SECONDS)).isZero();
      c.kill();
      a.await("the loss of c", 2_000, () -> a.lost().containsKey(30));
      a.await("the end of every landing", 5_000, () -> a.landing() == 0);
      assertThat(a.errors()).isEmpty();
      assertThat(a.lost()).hasSize(2);
    }
  }

  @Test
  void aRestartedPeerIsReachedUnderANewNumber() throws Exception {
    try (OwnerNode a = new OwnerNode(1, new UcxTransport(TestCluster.bind("127.0.0.1")))) {
      for (int life = 0; life < 3; life++) {
        int peer = 20 + life;
        try (PeerProcess b = peer(2 + life)) {
          a.connect(peer, b.expect("node address "));
          b.tell("connect 10 " + a.transport.address());
          b.tell("send 10 10 " + MIB + " 4");
          assertThat(a.send(peer, 10, MIB, 4, false).result.get(20, TimeUnit.SECONDS)).isZero();
          assertThat(b.expect("node sent, failed ")).isEqualTo("0");
          b.kill();
        }
        a.await("the loss", 2_000, () -> a.lost().containsKey(peer));
        a.disconnect(peer);
      }
      assertThat(a.errors()).isEmpty();
    }
  }

  @Test
  void aPeerThatHangsDelaysAGoodbyeOnlyForItsLimit() throws Exception {
    try (PeerProcess b = peer(2);
        OwnerNode a = new OwnerNode(1, new UcxTransport(TestCluster.bind("127.0.0.1")))) {
      a.connect(20, b.expect("node address "));
      assertThat(a.send(20, 1, 8, 1, false).result.get(20, TimeUnit.SECONDS)).isZero();
      b.signal("STOP");
      Flood stuck = a.send(20, 20, 4 * MIB, 20, false);
      a.disconnect(20);
      assertThat(stuck.result.get(10, TimeUnit.SECONDS)).isPositive();
      assertThat(a.lost()).isEmpty();
      b.signal("CONT");
    }
  }

  @Test
  void aUcxThatCannotBeLoadedIsNamedWithTheRemedy() throws Exception {
    Path broken = Files.createDirectories(temporary.resolve("broken"));
    for (String name : List.of("ucp", "uct", "ucs", "ucm")) {
      Files.writeString(broken.resolve("lib" + name + ".so.0"), "not a library");
    }
    Map<String, String> environment = Map.of("LD_LIBRARY_PATH", broken.toString());
    try (PeerProcess process =
        new PeerProcess(temporary, broken.toString(), environment, ProbeMain.class)) {
      assertThat(process.expect("probe "))
          .startsWith("Unavailable")
          .contains("libuc")
          .contains("name the directory of another UCX in CROSSMESH_UCX");
      assertThat(process.exit()).isZero();
    }
  }

  private static long heard(OwnerNode node, long sender) {
    return node.heard(sender).messages();
  }
}
