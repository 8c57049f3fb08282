package io.crossmesh.flight.bulk;

import io.crossmesh.flight.DoorSecurity;
import io.crossmesh.flight.HostPort;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport;
import io.grpc.Server;
import io.grpc.netty.NettyServerBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.Optional;

/** A {@link BulkTransport} with a door of its own, that opens and closes with it. */
final class DoorTransport implements Transport {
  static final String TOKEN = "the token of these tests";

  private final Doorbell bell;
  private final BulkTransport transport;
  private final Server door;

  DoorTransport(Path bellPath, String token) throws IOException {
    bell = Doorbell.create(bellPath);
    transport = new BulkTransport(DoorSecurity.plain(), token, bell);
    NettyServerBuilder builder =
        NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
    transport.offer(
        builder,
        said ->
            ("Bearer " + TOKEN).equals(said)
                ? Optional.empty()
                : Optional.of("the token is wrong"));
    door = builder.build();
  }

  @Override
  public void start(Handler handler) {
    transport.start(handler);
    try {
      door.start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    transport.listening(new HostPort("127.0.0.1", door.getPort()));
  }

  @Override
  public String address() {
    return transport.address();
  }

  @Override
  public void connect(int peer, String address) {
    transport.connect(peer, address);
  }

  @Override
  public void disconnect(int peer) {
    transport.disconnect(peer);
  }

  @Override
  public void send(
      int peer, MemorySegment header, MemorySegment payload, boolean bulk, SendDone done) {
    transport.send(peer, header, payload, bulk, done);
  }

  @Override
  public int progress() {
    return transport.progress();
  }

  @Override
  public void awaitEvent(long timeoutNanos) {
    transport.awaitEvent(timeoutNanos);
  }

  @Override
  public void wakeup() {
    transport.wakeup();
  }

  @Override
  public Counters counters() {
    return transport.counters();
  }

  @Override
  public void close() {
    transport.close();
    door.shutdownNow();
    bell.close();
  }
}
