package io.crossmesh.transfer.sim;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/**
 * What the transports of a simulation share: the clock, the dice, and who is reached by which
 * address. Delays are random; each link keeps control messages in order, and bulk announcements in
 * order; which of the two comes first, and when a payload lands after its announcement, is a matter
 * of the dice.
 */
public final class SimNetwork {
  /**
   * How messages travel.
   *
   * @param eagerShare of the payloads that come with their announcement
   * @param bufferedShare of the others that leave into the network's buffers when they are asked
   *     for, as over several rails: they are sent before they have landed, and what is announced
   *     next overtakes them
   * @param damagedShare of the bulk payloads that arrive with one bit flipped
   * @param repeatedShare of the messages that arrive once more, some long after, and also when
   *     their sender has died or begun another life meanwhile. Greetings do not: one means that a
   *     connection is new
   * @param lostShare of the control messages that are sent and never arrive
   */
  public record Weather(
      long delayNanosMax,
      double eagerShare,
      double bufferedShare,
      long landNanosMax,
      double damagedShare,
      double repeatedShare,
      double lostShare) {
    public static final Weather FAIR = new Weather(100_000, 0.5, 0, 200_000);

    /** Weather that damages nothing. */
    public Weather(long delayNanosMax, double eagerShare, double bufferedShare, long landNanosMax) {
      this(delayNanosMax, eagerShare, bufferedShare, landNanosMax, 0, 0, 0);
    }

    /** Any weather that damages nothing: fast or slow, in order or not. */
    static Weather any(Random dice) {
      return new Weather(
          1 + dice.nextInt(300_000),
          dice.nextInt(3) / 2.0,
          dice.nextInt(3) / 2.0,
          1 + dice.nextInt(dice.nextBoolean() ? 300_000 : 5_000_000));
    }

    /** The same weather, in which payloads are damaged. */
    public Weather damaging(double share) {
      return new Weather(
          delayNanosMax, eagerShare, bufferedShare, landNanosMax, share, repeatedShare, lostShare);
    }

    /** The same weather, in which messages are repeated and control messages lost. */
    public Weather confusing(double repeated, double lost) {
      return new Weather(
          delayNanosMax, eagerShare, bufferedShare, landNanosMax, damagedShare, repeated, lost);
    }
  }

  private final SimClock clock;
  private final Random dice;
  private final Weather weather;
  private final Map<String, SimTransport> byAddress = new HashMap<>();
  private boolean losing = true;
  private long connections;

  public SimNetwork(SimClock clock, Random dice, Weather weather) {
    this.clock = clock;
    this.dice = dice;
    this.weather = weather;
  }

  /** A transport that others reach by this address; a later one of the same address replaces it. */
  public SimTransport transport(String address) {
    SimTransport transport = new SimTransport(this, address);
    byAddress.put(address, transport);
    return transport;
  }

  @Nullable SimTransport at(String address) {
    return byAddress.get(address);
  }

  Iterable<SimTransport> all() {
    return byAddress.values();
  }

  long now() {
    return clock.nanos();
  }

  /** A number that no other connection has. */
  long nextConnection() {
    return ++connections;
  }

  long delay() {
    return 1 + dice.nextLong(weather.delayNanosMax);
  }

  long landing() {
    return 1 + dice.nextLong(weather.landNanosMax);
  }

  boolean buffered() {
    return weather.bufferedShare > 0 && dice.nextDouble() < weather.bufferedShare;
  }

  /** Flips a bit of a payload, if the weather is such. */
  void damage(MemorySegment payload) {
    if (weather.damagedShare > 0 && dice.nextDouble() < weather.damagedShare) {
      long at = dice.nextLong(payload.byteSize());
      byte was = payload.get(ValueLayout.JAVA_BYTE, at);
      payload.set(ValueLayout.JAVA_BYTE, at, (byte) (was ^ (1 << dice.nextInt(Byte.SIZE))));
    }
  }

  /** Loses nothing from now on. */
  public void loseNothing() {
    losing = false;
  }

  boolean lost(boolean bulk) {
    return !bulk && losing && weather.lostShare > 0 && dice.nextDouble() < weather.lostShare;
  }

  boolean repeated() {
    return weather.repeatedShare > 0 && dice.nextDouble() < weather.repeatedShare;
  }

  /** How long after a message the same comes again; now and then when all has changed. */
  long repetition() {
    return delay() * (1 + dice.nextInt(dice.nextInt(4) == 0 ? 1000 : 4));
  }

  boolean eager() {
    return dice.nextDouble() < weather.eagerShare;
  }
}
