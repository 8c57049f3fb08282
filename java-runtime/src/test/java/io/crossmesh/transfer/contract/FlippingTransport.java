package io.crossmesh.transfer.contract;

import io.crossmesh.transfer.Transport;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;

/** A transport that flips one bit in some of the payloads of tensors that arrive, by a seed. */
public final class FlippingTransport extends ForwardingTransport {
  private final double share;
  private final Random dice;
  private long flipped;

  /**
   * @param share of the payloads, from 0 to 1
   */
  public FlippingTransport(Transport transport, double share, long seed) {
    super(transport);
    this.share = share;
    this.dice = new Random(seed);
  }

  /** Payloads that were damaged; asked by the owner thread, or when that has ended. */
  public long flipped() {
    return flipped;
  }

  private void flip(MemorySegment payload) {
    if (payload.byteSize() > 0 && dice.nextDouble() < share) {
      flipped++;
      long at = dice.nextLong(payload.byteSize());
      byte was = payload.get(ValueLayout.JAVA_BYTE, at);
      payload.set(ValueLayout.JAVA_BYTE, at, (byte) (was ^ 1 << dice.nextInt(8)));
    }
  }

  @Override
  public void start(Handler handler) {
    super.start(
        new Handler() {
          @Override
          @SuppressWarnings("ReferenceEquality") // DISCARD is the one of its kind
          public Landing onMessage(long connection, MemorySegment header, long payloadBytes) {
            Landing landing = handler.onMessage(connection, header, payloadBytes);
            return payloadBytes == 0 || landing == Landing.DISCARD || !landing.bulk()
                ? landing
                : new Damaged(landing);
          }

          @Override
          public void onPeerLost(int peer, String reason) {
            handler.onPeerLost(peer, reason);
          }
        });
  }

  private final class Damaged implements Landing {
    private final Landing landing;
    private MemorySegment place = MemorySegment.NULL;

    Damaged(Landing landing) {
      this.landing = landing;
    }

    @Override
    public boolean ready(Runnable fetch) {
      return landing.ready(fetch);
    }

    @Override
    public MemorySegment segment() {
      place = landing.segment();
      return place;
    }

    @Override
    public void arrived(MemorySegment payload) {
      MemorySegment copy = Arena.ofAuto().allocate(payload.byteSize(), 8);
      copy.copyFrom(payload);
      flip(copy);
      landing.arrived(copy);
    }

    @Override
    public boolean bulk() {
      return landing.bulk();
    }

    @Override
    public void landed() {
      flip(place);
      landing.landed();
    }

    @Override
    public void failed(String reason) {
      landing.failed(reason);
    }
  }
}
