package io.crossmesh.flight;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.NettyServerBuilder;
import io.grpc.util.AdvancedTlsX509KeyManager;
import io.grpc.util.AdvancedTlsX509TrustManager;
import io.grpc.util.AdvancedTlsX509TrustManager.Verification;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.nio.NioIoHandler;
import io.netty.handler.ssl.ClientAuth;
import io.netty.handler.ssl.SslContext;
import io.netty.handler.ssl.SslContextBuilder;
import io.netty.handler.ssl.SslProvider;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.util.List;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.Location;

/**
 * TLS with certificates from files that may be replaced while the agent runs. Connections that
 * stand keep the certificates they began with.
 */
final class TlsDoor implements DoorSecurity {
  /** How long a replaced file may go unnoticed. */
  static final long RELOAD_SECONDS = 2;

  private final SslContext server;
  private final SslContext client;
  private final ScheduledExecutorService reloading;
  private final Runnable certificate;
  private final Runnable handshake;
  private final EventLoopGroup accepting = threads(1, "door-accept");
  private final EventLoopGroup serving = threads(0, "door");

  private TlsDoor(
      SslContext server,
      SslContext client,
      ScheduledExecutorService reloading,
      Runnable certificate,
      Runnable handshake) {
    this.server = server;
    this.client = client;
    this.reloading = reloading;
    this.certificate = certificate;
    this.handshake = handshake;
  }

  static TlsDoor open(TlsFiles files, Runnable certificate, Runnable handshake) {
    ScheduledExecutorService reloading =
        Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().name("certificates").daemon(true).factory());
    boolean opened = false;
    try {
      AdvancedTlsX509KeyManager identity = new AdvancedTlsX509KeyManager();
      AdvancedTlsX509TrustManager clients = trust(Verification.CERTIFICATE_ONLY_VERIFICATION);
      AdvancedTlsX509TrustManager doors =
          trust(Verification.CERTIFICATE_AND_HOST_NAME_VERIFICATION);
      CertificateReload reload = new CertificateReload(files, identity, List.of(clients, doors));
      reload.first();
      var _ =
          reloading.scheduleWithFixedDelay(
              reload, RELOAD_SECONDS, RELOAD_SECONDS, TimeUnit.SECONDS);
      SslContext server =
          GrpcSslContexts.configure(SslContextBuilder.forServer(identity), SslProvider.JDK)
              .trustManager(clients)
              .clientAuth(files.clientsProveThemselves() ? ClientAuth.REQUIRE : ClientAuth.NONE)
              .build();
      SslContext client =
          GrpcSslContexts.configure(SslContextBuilder.forClient(), SslProvider.JDK)
              .keyManager(identity)
              .trustManager(doors)
              .build();
      opened = true;
      return new TlsDoor(server, client, reloading, certificate, handshake);
    } catch (IOException | GeneralSecurityException | IllegalArgumentException e) {
      throw new CrossmeshException(
          Code.AUTH,
          "the certificates cannot be used (%s): --tls-cert %s and --tls-ca %s are PEM certificates, --tls-key %s is a PKCS #8 key in PEM."
              .formatted(e, files.certificate(), files.authority(), files.key()),
          e);
    } finally {
      if (!opened) {
        reloading.shutdownNow();
      }
    }
  }

  private static AdvancedTlsX509TrustManager trust(Verification verification)
      throws GeneralSecurityException {
    return AdvancedTlsX509TrustManager.newBuilder().setVerification(verification).build();
  }

  /** As many as given, or Netty's own choice for 0; started when they are needed. */
  private static EventLoopGroup threads(int count, String name) {
    return new MultiThreadIoEventLoopGroup(
        count, new DefaultThreadFactory(name, true), NioIoHandler.newFactory());
  }

  @Override
  public void protect(NettyServerBuilder door) {
    door.sslContext(server)
        .channelFactory(() -> new HandshakeWatch(certificate, handshake))
        .bossEventLoopGroup(accepting)
        .workerEventLoopGroup(serving);
  }

  @Override
  public void protect(NettyChannelBuilder call) {
    call.sslContext(client);
  }

  @Override
  public Location location(String host, int port) {
    return Location.forGrpcTls(host, port);
  }

  @Override
  public boolean encrypted() {
    return true;
  }

  @Override
  public void close() {
    reloading.shutdownNow();
    var _ = accepting.shutdownGracefully(0, 0, TimeUnit.SECONDS);
    var _ = serving.shutdownGracefully(0, 0, TimeUnit.SECONDS);
  }
}
