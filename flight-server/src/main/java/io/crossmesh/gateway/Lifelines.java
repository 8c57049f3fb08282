package io.crossmesh.gateway;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where trainer processes show that they live: a Unix socket in the agent's private directory, with
 * one connection for each session. The kernel ends the connection with the process, in whatever
 * container it runs and however it ends; no number of a process is asked, which another process may
 * have.
 *
 * <p>A client connects, says a key of its own choice and hears one byte; then it opens its session
 * with that key, by the gateway and so with the gateway's token. Who connects without the token has
 * a connection that means nothing.
 *
 * <p>An agent that is out of files accepts nobody for a while. Connections that stand are not
 * touched by that, nor are their sessions.
 */
public final class Lifelines implements AutoCloseable {
  static final int CONNECTIONS_MAX = Sessions.SESSIONS_MAX + 64;
  static final long ACCEPT_AGAIN_MILLIS = 100;
  static final long LOOK_MILLIS = 1_000;
  static final long GREETING_NANOS_MAX = TimeUnit.SECONDS.toNanos(10);

  private static final Logger LOG = LoggerFactory.getLogger(Lifelines.class);

  private final Path path;
  private final ServerSocketChannel listener;
  private final Selector selector;
  private final SelectionKey accepting;
  private final Thread thread;
  private final Map<String, Lifeline> waiting = new HashMap<>();
  private boolean refusing;
  private boolean failing;
  private volatile boolean closed;

  private Lifelines(Path path, ServerSocketChannel listener, Selector selector) throws IOException {
    this.path = path;
    this.listener = listener;
    this.selector = selector;
    this.accepting = listener.register(selector, SelectionKey.OP_ACCEPT);
    this.thread = Thread.ofPlatform().name("lifelines").daemon(true).unstarted(this::run);
  }

  /**
   * Begins to listen.
   *
   * @param directory of this process's user alone
   * @throws CrossmeshException AGENT_UNAVAILABLE if there can be no such socket
   */
  public static Lifelines open(Path directory) {
    Path path = directory.resolve("trainers");
    try {
      Selector selector = Selector.open();
      Lifelines lifelines = new Lifelines(path, UnixSocket.listen(path), selector);
      lifelines.thread.start();
      return lifelines;
    } catch (IOException | UnsupportedOperationException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "the agent cannot make the socket %s (%s); choose another --arena-dir."
              .formatted(path, e.getMessage()),
          e);
    }
  }

  /** Where clients connect. */
  public Path path() {
    return path;
  }

  /**
   * Takes the connection of a client, for a session of its own.
   *
   * @param key that the client has said
   * @param onEnd runs when the connection ends before it is closed here
   * @throws CrossmeshException AGENT_UNAVAILABLE if no connection has said it
   */
  Lifeline take(String key, Runnable onEnd) {
    Lifeline lifeline;
    synchronized (waiting) {
      lifeline = waiting.remove(key);
    }
    if (lifeline == null || !lifeline.begin(onEnd)) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "the process that opens a session is not connected to %s, by which the agent knows that it lives; connect again."
              .formatted(path));
    }
    return lifeline;
  }

  /** One process's connection; all but its end is of no meaning yet. */
  final class Lifeline implements AutoCloseable {
    private final SocketChannel channel;
    private final Greeting greeting = new Greeting();
    private final long since = System.nanoTime();
    private @Nullable Runnable onEnd;
    private boolean over;

    private Lifeline(SocketChannel channel) {
      this.channel = channel;
    }

    private synchronized boolean begin(Runnable whenItEnds) {
      onEnd = whenItEnds;
      return !over;
    }

    private synchronized @Nullable Runnable finish() {
      Runnable last = over ? null : onEnd;
      over = true;
      return last;
    }

    private void read() throws IOException {
      String key = greeting.read(channel);
      if (key != null) {
        synchronized (waiting) {
          waiting.put(key, this);
        }
        greeting.answer(channel);
      }
    }

    private boolean late() {
      return !greeting.said() && System.nanoTime() - since > GREETING_NANOS_MAX;
    }

    private void ended() {
      Runnable last = finish();
      closeChannel();
      if (last != null) {
        last.run();
      }
    }

    private void closeChannel() {
      synchronized (waiting) {
        waiting.values().remove(this);
      }
      try {
        channel.close();
      } catch (IOException e) {
        LOG.debug("a lifeline was not closed in order", e);
      }
    }

    /** Ends the connection, of which nobody is told then. */
    @Override
    public void close() {
      finish();
      closeChannel();
      selector.wakeup(); // a channel that is closed keeps its file until the selector has seen it
    }
  }

  private void run() {
    while (!closed) {
      try {
        selector.select(this::ready, timeoutMillis());
        if (refusing) {
          refusing = false;
          accepting.interestOps(SelectionKey.OP_ACCEPT);
        }
        closeLate();
      } catch (IOException | UncheckedIOException e) {
        LOG.warn("trainers cannot be watched for a moment: {}", e.toString());
        pause();
      }
    }
  }

  private long timeoutMillis() {
    return refusing ? ACCEPT_AGAIN_MILLIS : LOOK_MILLIS;
  }

  private void ready(SelectionKey key) {
    if (!(key.attachment() instanceof Lifeline lifeline)) {
      accept();
      return;
    }
    try {
      lifeline.read();
    } catch (IOException e) {
      LOG.debug("a lifeline ended", e);
      lifeline.ended();
    }
  }

  private void accept() {
    try {
      SocketChannel channel = listener.accept();
      if (channel != null) {
        admit(channel);
        failing = false;
      }
    } catch (IOException e) {
      if (!failing) {
        LOG.warn("no trainer can connect ({}); trying again", e.toString());
      }
      failing = true;
      accepting.interestOps(0);
      refusing = true;
    }
  }

  private void admit(SocketChannel channel) throws IOException {
    if (selector.keys().size() > CONNECTIONS_MAX) {
      channel.close();
      return;
    }
    try {
      channel.configureBlocking(false);
      channel.register(selector, SelectionKey.OP_READ, new Lifeline(channel));
    } catch (IOException e) {
      channel.close();
      throw e;
    }
  }

  private void closeLate() {
    for (SelectionKey key : selector.keys()) {
      if (key.attachment() instanceof Lifeline lifeline && lifeline.late()) {
        lifeline.ended();
      }
    }
  }

  private static void pause() {
    try {
      Thread.sleep(ACCEPT_AGAIN_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Ends all connections without a word; sessions are ended by whoever holds them. */
  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    closed = true;
    selector.wakeup();
    try {
      thread.join();
      for (SelectionKey key : selector.keys()) {
        if (key.attachment() instanceof Lifeline lifeline) {
          lifeline.close();
        }
      }
      listener.close();
      selector.close();
      Files.deleteIfExists(path);
    } catch (IOException e) {
      LOG.debug("the socket of trainers was not closed in order", e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
