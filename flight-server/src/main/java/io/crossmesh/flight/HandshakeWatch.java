package io.crossmesh.flight;

import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.handler.ssl.SslHandler;
import java.util.List;
import javax.net.ssl.SSLHandshakeException;

/**
 * The socket of a door with TLS, which sees how each handshake ends: a client that shows no
 * certificate at all is refused by the protocol itself, so that no trust manager hears of it.
 */
final class HandshakeWatch extends NioServerSocketChannel {
  /** How Java's TLS says that it was the client who broke off. */
  private static final String CLIENTS_WORD = "Received fatal alert";

  private final Runnable certificate;
  private final Runnable handshake;

  /**
   * @param certificate told of each client without a certificate that is good here
   * @param handshake told of each other handshake that failed: other protocols, clients that went
   */
  HandshakeWatch(Runnable certificate, Runnable handshake) {
    this.certificate = certificate;
    this.handshake = handshake;
  }

  @Override
  protected int doReadMessages(List<Object> accepted) throws Exception {
    int before = accepted.size();
    int count = super.doReadMessages(accepted);
    for (Object connection : accepted.subList(before, accepted.size())) {
      if (connection instanceof Channel channel) {
        channel.pipeline().addFirst(new Watch());
      }
    }
    return count;
  }

  private void failed(Throwable cause) {
    boolean wrong =
        cause instanceof SSLHandshakeException refused
            && !String.valueOf(refused.getMessage()).startsWith(CLIENTS_WORD);
    (wrong ? certificate : handshake).run();
  }

  /** Waits for the first bytes: TLS has been put behind it by then. */
  private final class Watch extends ChannelInboundHandlerAdapter {
    @Override
    public void channelRead(ChannelHandlerContext context, Object bytes) {
      SslHandler tls = context.pipeline().get(SslHandler.class);
      if (tls != null) {
        var _ =
            tls.handshakeFuture()
                .addListener(
                    done -> {
                      if (!done.isSuccess()) {
                        failed(done.cause());
                      }
                    });
      }
      context.pipeline().remove(this);
      context.fireChannelRead(bytes);
    }
  }
}
