package io.crossmesh.transfer;

import java.security.SecureRandom;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the messages of one channel carry, so that nobody can say anything in it but its hosts, each
 * in its own name: for each other host a random number that it must show here, and the one that
 * must be shown there.
 *
 * <p>Who receives draws the number and tells it to the other host alone, over its own connection to
 * that host's address. A host that was let into the cluster and forges another's name does not have
 * it. Numbers are compared as what they are, in one instruction, so in the same time wherever they
 * differ.
 */
final class Passes {
  /** No pass is 0. */
  static final long NONE = 0;

  private static final SecureRandom RANDOM = new SecureRandom();

  private final Map<String, Long> drawn = new HashMap<>();
  private final Map<String, Long> told = new HashMap<>();

  Passes(List<String> hosts) {
    hosts.forEach(host -> drawn.put(host, draw()));
  }

  /** A number that nobody can guess. */
  static long draw() {
    long pass = RANDOM.nextLong();
    return pass == NONE ? draw() : pass;
  }

  /** What a host must show here; {@link #NONE} for one that is not of the channel. */
  long of(String host) {
    return drawn.getOrDefault(host, NONE);
  }

  /** Whether a host shows what it was told; none passes with {@link #NONE}. */
  boolean admits(String host, long shown) {
    return shown != NONE && shown == of(host);
  }

  /** A host has told what it wants to be shown; its first word counts. */
  void tell(String host, long pass) {
    told.putIfAbsent(host, pass);
  }

  /** What must be shown to a host; {@link #NONE} before it has told. */
  long forHost(String host) {
    return told.getOrDefault(host, NONE);
  }

  /** Those of channels that are there, and of some that were: late questions get an answer. */
  static final class Book {
    private static final int MAX = 1 << 13;

    private final Map<Long, Passes> byChannel =
        new LinkedHashMap<>() {
          @Override
          protected boolean removeEldestEntry(Map.Entry<Long, Passes> eldest) {
            return size() > MAX;
          }
        };

    void add(long channel, Passes passes) {
      byChannel.put(channel, passes);
    }

    /** Whether a message of a host may be of a channel. */
    boolean admits(long channel, String host, long shown) {
      Passes passes = byChannel.get(channel);
      return passes != null && passes.admits(host, shown);
    }

    /** What a message to a host must show; {@link #NONE} if it cannot be known. */
    long forHost(long channel, String host) {
      Passes passes = byChannel.get(channel);
      return passes == null ? NONE : passes.forHost(host);
    }
  }
}
