package io.crossmesh.flight.bulk;

import io.crossmesh.flight.DoorSecurity;
import io.crossmesh.flight.HostPort;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.transfer.contract.ForwardingTransport;
import io.grpc.Server;
import io.grpc.netty.NettyServerBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.Optional;

/** A {@link BulkTransport} with a door of its own, that opens and closes with it. */
final class DoorTransport extends ForwardingTransport {
  static final String TOKEN = "the token of these tests";

  private final Doorbell bell;
  private final BulkTransport transport;
  private final Server door;

  private DoorTransport(Doorbell bell, BulkTransport transport) {
    super(transport);
    this.bell = bell;
    this.transport = transport;
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

  static DoorTransport open(Path bellPath, String token) throws IOException {
    Doorbell bell = Doorbell.create(bellPath);
    return new DoorTransport(bell, new BulkTransport(DoorSecurity.plain(), token, bell, () -> {}));
  }

  @Override
  public void start(Handler handler) {
    super.start(handler);
    try {
      door.start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    transport.listening(new HostPort("127.0.0.1", door.getPort()));
  }

  @Override
  public void close() {
    super.close();
    door.shutdownNow();
    bell.close();
  }
}
