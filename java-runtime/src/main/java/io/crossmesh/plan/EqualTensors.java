package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.IntFunction;

/**
 * Which tensors of a request differ in nothing but their keys: of the hundreds of tensors of a
 * model with equal layers there are a dozen kinds, and each is cut and costed once.
 */
final class EqualTensors {
  private record Kind(List<Long> shape, String dtype, int src, int dst) {}

  private final int[] first;

  private EqualTensors(int[] first) {
    this.first = first;
  }

  static EqualTensors of(List<TensorReshard> tensors) {
    LayoutTable layouts = LayoutTable.withAxisNames(tensors);
    Map<Kind, Integer> known = new HashMap<>();
    int[] first = new int[tensors.size()];
    for (int i = 0; i < first.length; i++) {
      TensorReshard tensor = tensors.get(i);
      Kind kind =
          new Kind(
              tensor.tensor().shape(),
              tensor.tensor().dtype().name(),
              layouts.layoutOf(tensor.src()),
              layouts.layoutOf(tensor.dst()));
      Integer other = known.putIfAbsent(kind, i);
      first[i] = other == null ? i : other;
    }
    return new EqualTensors(first);
  }

  /** What is made of each tensor: once of the first of its kind, from that for the others. */
  <T> List<T> each(IntFunction<T> make, Function<T, IntFunction<T>> again) {
    List<T> made = new ArrayList<>(first.length);
    for (int i = 0; i < first.length; i++) {
      made.add(first[i] == i ? make.apply(i) : again.apply(made.get(first[i])).apply(i));
    }
    return made;
  }
}
