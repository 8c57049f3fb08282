package io.crossmesh.transfer.contract;

import io.crossmesh.transfer.Counters;
import io.crossmesh.transfer.Transport;
import java.lang.foreign.MemorySegment;

/** A transport that leaves everything to another one; tests change what they need. */
public abstract class ForwardingTransport implements Transport {
  private final Transport transport;

  /**
   * @param transport what does the work; ends with this one
   */
  protected ForwardingTransport(Transport transport) {
    this.transport = transport;
  }

  @Override
  public void start(Handler handler) {
    transport.start(handler);
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
  public void abandon(int peer) {
    transport.abandon(peer);
  }

  @Override
  public void sever(long connection) {
    transport.sever(connection);
  }

  @Override
  public void answerBy(int peer, long connection) {
    transport.answerBy(peer, connection);
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
  }
}
