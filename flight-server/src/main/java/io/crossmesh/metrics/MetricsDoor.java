package io.crossmesh.metrics;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.crossmesh.host.Ports;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * {@code GET /metrics} for Prometheus, on loopback. It needs no token: whoever can ask is on this
 * host already, and learns numbers, names of hosts and of error codes, never a tensor.
 */
public final class MetricsDoor implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(MetricsDoor.class);
  private static final String PATH = "/metrics";
  private static final String TEXT = "text/plain; version=0.0.4; charset=utf-8";
  private static final int BACKLOG = 16;

  private final HttpServer server;
  private final ExecutorService calls;

  private MetricsDoor(HttpServer server, ExecutorService calls) {
    this.server = server;
    this.calls = calls;
  }

  /**
   * Opens the door.
   *
   * @param port 0 for any free one
   * @param page what to answer
   * @throws io.crossmesh.CrossmeshException if the port is taken
   */
  public static MetricsDoor open(int port, Supplier<String> page) {
    try {
      HttpServer server =
          HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), BACKLOG);
      // One at a time: a scrape is short, and a crowd of them must not become a crowd of threads.
      ExecutorService calls =
          Executors.newSingleThreadExecutor(
              Thread.ofPlatform().name("metrics").daemon(true).factory());
      server.setExecutor(calls);
      server.createContext("/", exchange -> answer(exchange, page));
      server.start();
      return new MetricsDoor(server, calls);
    } catch (IOException e) {
      throw Ports.refused("the metrics door", "127.0.0.1", port, "--metrics-port, or 'off'", e);
    }
  }

  /** The port it listens on. */
  public int port() {
    return server.getAddress().getPort();
  }

  private static void answer(HttpExchange exchange, Supplier<String> page) throws IOException {
    try (exchange) {
      if (!exchange.getRequestURI().getPath().equals(PATH)) {
        send(exchange, 404, "Metrics are at " + PATH + ".\n");
      } else if (!exchange.getRequestMethod().equals("GET")) {
        send(exchange, 405, "Ask with GET.\n");
      } else {
        send(exchange, 200, page.get());
      }
    } catch (RuntimeException e) {
      LOG.warn("a scrape failed", e);
      throw e;
    }
  }

  private static void send(HttpExchange exchange, int status, String text) throws IOException {
    byte[] body = text.getBytes(StandardCharsets.UTF_8);
    exchange.getResponseHeaders().set("Content-Type", TEXT);
    exchange.sendResponseHeaders(status, body.length);
    exchange.getResponseBody().write(body);
  }

  @Override
  public void close() {
    server.stop(0);
    calls.shutdownNow();
  }
}
