package io.crossmesh.gateway;

import io.crossmesh.host.Nics;
import java.net.InetAddress;
import java.util.List;
import py4j.GatewayServer;
import py4j.commands.Command;

/**
 * The Py4J server: loopback, any free port, a token on every connection, no calls back into Python,
 * and no way to anything but the methods of {@link PlannerGateway}.
 */
public final class GatewayDoor implements AutoCloseable {
  private static final List<Class<? extends Command>> COMMANDS =
      List.of(
          EntryPointCommand.class,
          RefusedCommand.Arrays.class,
          RefusedCommand.Constructors.class,
          RefusedCommand.Directory.class,
          RefusedCommand.Exceptions.class,
          RefusedCommand.Fields.class,
          RefusedCommand.Help.class,
          RefusedCommand.Views.class,
          RefusedCommand.Lists.class,
          RefusedCommand.Memory.class,
          RefusedCommand.Reflection.class,
          RefusedCommand.Streams.class,
          RefusedCommand.Shutdown.class);

  private final GatewayServer server;

  private GatewayDoor(GatewayServer server) {
    this.server = server;
  }

  /** Opens the door; it answers when this returns. */
  public static GatewayDoor open(PlannerGateway entryPoint, String token) {
    Nics.requireLoopback();
    GatewayServer server =
        new GatewayServer.GatewayServerBuilder(entryPoint)
            .javaAddress(InetAddress.getLoopbackAddress())
            .javaPort(0)
            .serverSocketFactory(new NoDelayServerSocketFactory())
            .customCommands(COMMANDS)
            .authToken(token)
            .build();
    server.start(true);
    return new GatewayDoor(server);
  }

  /** The port on 127.0.0.1. */
  public int port() {
    return server.getListeningPort();
  }

  @Override
  public void close() {
    server.shutdown();
  }
}
