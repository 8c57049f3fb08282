package io.crossmesh.gateway;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import javax.net.ServerSocketFactory;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Server sockets whose accepted sockets send at once. Py4J writes an answer of more than 8192
 * characters in two pieces; Nagle's algorithm and delayed acknowledgement then cost some 40 ms.
 *
 * <p>A connection that cannot be accepted, since this process is out of files or the client has
 * hung up, is an end of Py4J's server for good; here the next one is accepted.
 */
final class NoDelayServerSocketFactory extends ServerSocketFactory {
  private static final Logger LOG = LoggerFactory.getLogger(NoDelayServerSocketFactory.class);
  private static final long AGAIN_MILLIS = 100;

  @Override
  public ServerSocket createServerSocket() throws IOException {
    return new NoDelayServerSocket();
  }

  @Override
  public ServerSocket createServerSocket(int port) throws IOException {
    return createServerSocket(port, 0, InetAddress.getLoopbackAddress());
  }

  @Override
  public ServerSocket createServerSocket(int port, int backlog) throws IOException {
    return createServerSocket(port, backlog, InetAddress.getLoopbackAddress());
  }

  @Override
  public ServerSocket createServerSocket(int port, int backlog, InetAddress address)
      throws IOException {
    ServerSocket socket = createServerSocket();
    socket.bind(new InetSocketAddress(address, port), backlog);
    return socket;
  }

  private static final class NoDelayServerSocket extends ServerSocket {
    private boolean failing; // of the one thread that accepts

    NoDelayServerSocket() throws IOException {
      super();
    }

    @Override
    public Socket accept() throws IOException {
      while (true) {
        try {
          Socket socket = super.accept();
          failing = false;
          socket.setTcpNoDelay(true);
          return socket;
        } catch (IOException e) {
          if (isClosed() || e instanceof SocketTimeoutException) {
            throw e;
          }
          if (!failing) {
            LOG.warn("no client can connect ({}); trying again", e.toString());
          }
          failing = true;
          pause();
        }
      }
    }

    private static void pause() throws InterruptedIOException {
      try {
        Thread.sleep(AGAIN_MILLIS);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new InterruptedIOException("the server ends");
      }
    }
  }
}
