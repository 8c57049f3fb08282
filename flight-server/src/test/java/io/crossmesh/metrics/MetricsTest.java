package io.crossmesh.metrics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.transfer.Counters.Traffic;
import io.crossmesh.transfer.EngineStatus;
import java.io.IOException;
import java.net.InetAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class MetricsTest {
  private final Metrics metrics = new Metrics("a", System::nanoTime);
  private EngineStatus reading = status(true, 4096);

  @AfterEach
  void close() {
    metrics.close();
  }

  @Test
  void thePageHoldsWhatTheEngineCounts() {
    String page = metrics.page(() -> Optional.of(reading)).get();

    assertThat(page)
        .contains("crossmesh_bytes_total{direction=\"sent\",host=\"a\",kind=\"bulk\"} 4096.0")
        .contains("crossmesh_peer_bytes_sent_total{host=\"a\",peer=\"b\"} 4096.0")
        .contains("crossmesh_peer_connected{host=\"a\",peer=\"b\"} 1.0")
        .contains("crossmesh_arena_used{host=\"a\"} 10.0")
        .contains("crossmesh_messages_refused_total{host=\"a\"} 7.0")
        .contains("crossmesh_channels{host=\"a\",state=\"open\"} 1.0")
        .contains("crossmesh_steps_live{host=\"a\"} 3.0")
        .contains("process_files_open_files{host=\"a\"}");
  }

  @Test
  void thePageNamesTheTransport() {
    metrics.transport("ucx", "1.18.1");

    assertThat(metrics.page(Optional::empty).get())
        .contains("crossmesh_transport{host=\"a\",transport=\"ucx\",version=\"1.18.1\"} 1.0");
  }

  @Test
  void everyPageIsANewReading() {
    var page = metrics.page(() -> Optional.of(reading));
    assertThat(page.get()).contains("peer=\"b\"} 4096.0");
    reading = status(false, 8192);

    assertThat(page.get())
        .contains("crossmesh_bytes_total{direction=\"sent\",host=\"a\",kind=\"bulk\"} 8192.0")
        .contains("crossmesh_peer_connected{host=\"a\",peer=\"b\"} 0.0");
  }

  @Test
  void anAgentWithoutTransportCountsTheRest() {
    metrics.refused(Refused.TOKEN);

    assertThat(metrics.page(Optional::empty).get())
        .contains("crossmesh_door_refused_total{host=\"a\",wrong=\"token\"} 1.0")
        .doesNotContain("crossmesh_bytes");
  }

  @Test
  void theDoorAnswersOnLoopbackAndNothingElseThanMetrics() throws Exception {
    try (MetricsDoor door = MetricsDoor.open(0, metrics.page(() -> Optional.of(reading)))) {
      assertThat(get(door.port(), "/metrics").statusCode()).isEqualTo(200);
      assertThat(get(door.port(), "/metrics").body()).contains("crossmesh_arena_budget");
      assertThat(get(door.port(), "/other").statusCode()).isEqualTo(404);
      assertThatThrownBy(() -> MetricsDoor.open(door.port(), () -> ""))
          .isInstanceOf(CrossmeshException.class)
          .hasMessageContaining("--metrics-port");
    }
  }

  private static HttpResponse<String> get(int port, String path)
      throws IOException, InterruptedException {
    String host = InetAddress.getLoopbackAddress().getHostAddress();
    try (HttpClient client = HttpClient.newHttpClient()) {
      URI uri = URI.create("http://%s:%d%s".formatted(host, port, path));
      return client.send(HttpRequest.newBuilder(uri).build(), HttpResponse.BodyHandlers.ofString());
    }
  }

  @Test
  void failuresAreCountedByTheirCode() {
    FakeChannel engine = new FakeChannel();
    metrics.open(engine::open, FakeChannel.request(), engine).send(1, 0);
    engine.told().onStepFailed(1, Code.PEER_LOST, "host 'b' is gone");

    assertThat(engine.failed).containsExactly(1L);
    assertThat(metrics.page(Optional::empty).get())
        .contains("crossmesh_transfer_failures_total{code=\"PeerLost\",host=\"a\"} 1.0")
        .contains("crossmesh_transfer_latency_seconds_count{call=\"send\",host=\"a\"} 0");
  }

  @Test
  void aStepIsTimedFromItsCallToItsAnswer() {
    FakeChannel engine = new FakeChannel();
    var handle = metrics.open(engine::open, FakeChannel.request(), engine);
    handle.send(1, 0);
    engine.told().onSent(1, 0);
    engine.told().onDelivered(1);

    assertThat(engine.sent).containsExactly(1L);
    assertThat(engine.delivered).containsExactly(1L);
    assertThat(metrics.page(Optional::empty).get())
        .contains("crossmesh_transfer_latency_seconds_count{call=\"send\",host=\"a\"} 1");
  }

  private static EngineStatus status(boolean connected, long bytes) {
    Traffic traffic = new Traffic(bytes, 1, 0, 0, 0, 0, 0, 0);
    return new EngineStatus(
        "a",
        1,
        List.of(new EngineStatus.Peer("b", 2, connected, connected, "", traffic)),
        List.of(new EngineStatus.Channel("act", 1, "open", 3, 0, bytes, 0)),
        traffic,
        10,
        100,
        7,
        2);
  }
}
