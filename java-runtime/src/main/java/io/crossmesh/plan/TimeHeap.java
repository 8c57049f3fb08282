package io.crossmesh.plan;

import java.util.Arrays;

/**
 * A binary heap of (key, value) pairs in two flat arrays, least key first, then least value: the
 * order of removal never depends on the order of insertion.
 */
final class TimeHeap {
  private double[] keys = new double[16];
  private int[] values = new int[16];
  private int size;

  boolean isEmpty() {
    return size == 0;
  }

  void clear() {
    size = 0;
  }

  double key() {
    return keys[0];
  }

  int value() {
    return values[0];
  }

  void add(double key, int value) {
    if (size == keys.length) {
      keys = Arrays.copyOf(keys, 2 * size);
      values = Arrays.copyOf(values, 2 * size);
    }
    int at = size++;
    while (at > 0) {
      int parent = (at - 1) / 2;
      if (!less(key, value, parent)) {
        break;
      }
      keys[at] = keys[parent];
      values[at] = values[parent];
      at = parent;
    }
    keys[at] = key;
    values[at] = value;
  }

  /** Removes the least pair and returns its value. */
  int remove() {
    int removed = values[0];
    size--;
    double key = keys[size];
    int value = values[size];
    int at = 0;
    while (2 * at + 1 < size) {
      int child = 2 * at + 1;
      if (child + 1 < size && less(keys[child + 1], values[child + 1], child)) {
        child++;
      }
      if (!less(keys[child], values[child], key, value)) {
        break;
      }
      keys[at] = keys[child];
      values[at] = values[child];
      at = child;
    }
    keys[at] = key;
    values[at] = value;
    return removed;
  }

  private boolean less(double key, int value, int at) {
    return less(key, value, keys[at], values[at]);
  }

  private static boolean less(double key, int value, double otherKey, int otherValue) {
    return key < otherKey || (key == otherKey && value < otherValue);
  }
}
