package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.memory.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(30)
class OwnerThreadTest {
  @TempDir Path directory;

  /** A transport without peers that notes which threads call what. */
  private static final class Watched implements Transport {
    private final Map<String, Set<String>> callers = new ConcurrentHashMap<>();
    private final Counters counters = new Counters();
    private final @Nullable RuntimeException failure;

    Watched(@Nullable RuntimeException failure) {
      this.failure = failure;
    }

    private void called(String what) {
      callers
          .computeIfAbsent(what, key -> new ConcurrentSkipListSet<>())
          .add(Thread.currentThread().getName());
    }

    @Override
    public void start(Handler handler) {
      called("start");
      if (failure != null) {
        throw failure;
      }
    }

    @Override
    public String address() {
      return "nowhere";
    }

    @Override
    public void connect(int peer, String address) {
      called("connect");
    }

    @Override
    public void disconnect(int peer) {
      called("disconnect");
    }

    @Override
    public void abandon(int peer) {
      called("abandon");
    }

    @Override
    public void sever(long connection) {
      called("sever");
    }

    @Override
    public void send(
        int peer, MemorySegment header, MemorySegment payload, boolean bulk, SendDone done) {
      called("send");
    }

    @Override
    public int progress() {
      called("progress");
      return 0;
    }

    @Override
    public void awaitEvent(long timeoutNanos) {
      called("awaitEvent");
      Thread.onSpinWait();
    }

    @Override
    public void wakeup() {
      // any thread may
    }

    @Override
    public Counters counters() {
      return counters;
    }

    @Override
    public void close() {
      called("close");
    }
  }

  private TransferEngine engine(Transport transport, Arena arena) {
    return new TransferEngine(
        "a", 1, new SystemClock(), transport, arena, EngineOptions.defaults());
  }

  @Test
  void oneThreadStartsDrivesAndClosesTheTransport() throws Exception {
    Watched transport = new Watched(null);
    try (Arena arena = Arena.create(directory.resolve("arena"), 1 << 20)) {
      TransferEngine engine = engine(transport, arena);
      assertThat(transport.callers).isEmpty();
      try (OwnerThread thread = new OwnerThread(engine, transport::wakeup, "owner", 1).start()) {
        assertThat(thread.isAlive()).isTrue();
        engine.setPeers(List.of(new PeerSpec("a", 1, "here"), new PeerSpec("b", 2, "there")));
        assertThat(engine.status().get(10, TimeUnit.SECONDS).host()).isEqualTo("a");
      }
    }
    assertThat(transport.callers)
        .containsKeys("start", "connect", "send", "progress", "close")
        .allSatisfy((what, threads) -> assertThat(threads).as(what).containsExactly("owner"));
  }

  @Test
  void aTransportThatDoesNotStartIsToldToWhoStartsTheThread() {
    Watched transport =
        new Watched(new CrossmeshException(Code.AGENT_UNAVAILABLE, "no network today"));
    try (Arena arena = Arena.create(directory.resolve("arena"), 1 << 20)) {
      OwnerThread thread = new OwnerThread(engine(transport, arena), transport::wakeup, "owner", 1);
      assertThatThrownBy(thread::start)
          .isInstanceOf(CrossmeshException.class)
          .hasMessageContaining("no network today");
      thread.close();
      assertThat(thread.isAlive()).isFalse();
    }
    assertThat(transport.callers.get("close")).containsExactly("owner");
  }
}
