package io.crossmesh.schedule;

import java.util.Arrays;

/** Events by time, in a binary heap of two arrays; those of one time leave in no stated order. */
final class EventHeap {
  private long[] times = new long[64];
  private int[] ids = new int[64];
  private int size;

  boolean isEmpty() {
    return size == 0;
  }

  long time() {
    return times[0];
  }

  void add(long time, int id) {
    if (size == times.length) {
      times = Arrays.copyOf(times, 2 * size);
      ids = Arrays.copyOf(ids, 2 * size);
    }
    int at = size++;
    while (at > 0) {
      int parent = (at - 1) / 2;
      if (times[parent] <= time) {
        break;
      }
      times[at] = times[parent];
      ids[at] = ids[parent];
      at = parent;
    }
    times[at] = time;
    ids[at] = id;
  }

  /** Takes an event of the earliest time. */
  int poll() {
    int first = ids[0];
    size--;
    long time = times[size];
    int id = ids[size];
    int at = 0;
    while (true) {
      int child = 2 * at + 1;
      if (child >= size) {
        break;
      }
      if (child + 1 < size && times[child + 1] < times[child]) {
        child++;
      }
      if (times[child] >= time) {
        break;
      }
      times[at] = times[child];
      ids[at] = ids[child];
      at = child;
    }
    times[at] = time;
    ids[at] = id;
    return first;
  }
}
