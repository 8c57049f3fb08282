package io.crossmesh.transfer.ucx;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Operations under way, in the order in which they were asked for; each is in one list at most. */
final class Operations<T extends Operation<T>> {
  private @Nullable T first;
  private @Nullable T last;

  boolean isEmpty() {
    return first == null;
  }

  void add(T operation) {
    T before = last;
    operation.previous = before;
    if (before == null) {
      first = operation;
    } else {
      before.next = operation;
    }
    last = operation;
  }

  void remove(T operation) {
    T before = operation.previous;
    T after = operation.next;
    if (before == null) {
      first = after;
    } else {
      before.next = after;
    }
    if (after == null) {
      last = before;
    } else {
      after.previous = before;
    }
    operation.previous = null;
    operation.next = null;
  }

  /** All of now, to be gone through while some end. */
  List<T> copy() {
    List<T> all = new ArrayList<>();
    for (T operation = first; operation != null; operation = operation.next) {
      all.add(operation);
    }
    return all;
  }
}
