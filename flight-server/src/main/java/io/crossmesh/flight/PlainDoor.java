package io.crossmesh.flight;

import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import org.apache.arrow.flight.Location;

/** Connections as they are. */
record PlainDoor() implements DoorSecurity {
  @Override
  public void protect(NettyServerBuilder door) {
    // A door is plain unless told otherwise.
  }

  @Override
  public void protect(NettyChannelBuilder call) {
    call.usePlaintext();
  }

  @Override
  public Location location(String host, int port) {
    return Location.forGrpcInsecure(host, port);
  }

  @Override
  public boolean encrypted() {
    return false;
  }

  @Override
  public void close() {
    // Nothing was opened.
  }
}
