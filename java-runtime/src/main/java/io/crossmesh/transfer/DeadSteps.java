package io.crossmesh.transfer;

import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Steps that ended before everybody here had called them, so that whoever calls one later learns
 * why, and a late message does not bring it back. Forgotten once no one can call them any more.
 */
final class DeadSteps {
  /** More than any pipeline posts ahead; beyond it a late caller learns by its timeout. */
  private static final int REMEMBERED_MAX = 1 << 14;

  private final TreeMap<Long, Failure> failures = new TreeMap<>();

  void add(long step, Failure failure) {
    failures.putIfAbsent(step, failure);
    if (failures.size() > REMEMBERED_MAX) {
      failures.pollFirstEntry();
    }
  }

  @Nullable Failure get(long step) {
    return failures.get(step);
  }

  void forEach(BiConsumer<Long, Failure> each) {
    failures.forEach(each);
  }

  /** Forgets all up to this step. */
  void forgetThrough(long step) {
    Map.Entry<Long, Failure> first = failures.firstEntry();
    while (first != null && first.getKey() <= step) {
      failures.pollFirstEntry();
      first = failures.firstEntry();
    }
  }
}
