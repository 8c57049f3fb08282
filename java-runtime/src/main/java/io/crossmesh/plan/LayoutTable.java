package io.crossmesh.plan;

import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * The distinct meshes and layouts of a request, numbered by first use: what documents and digests
 * write once and refer to by number.
 */
final class LayoutTable {
  private final List<Mesh> meshes = new ArrayList<>();
  private final List<Sharding> layouts = new ArrayList<>();
  private final Map<Sharding, Integer> byLayout = new HashMap<>();
  private final Map<Mesh, Integer> byMesh = new HashMap<>();

  // Comparing large meshes is slow; nearly all tensors share the same few objects.
  private final IdentityHashMap<Sharding, Integer> sameLayout = new IdentityHashMap<>();
  private final IdentityHashMap<Mesh, Integer> sameMesh = new IdentityHashMap<>();

  private final boolean axisNames;

  private LayoutTable(List<TensorReshard> tensors, boolean axisNames) {
    this.axisNames = axisNames;
    for (TensorReshard tensor : tensors) {
      layoutOf(tensor.src());
      layoutOf(tensor.dst());
    }
  }

  /** Meshes with other axis names are other meshes. */
  static LayoutTable withAxisNames(List<TensorReshard> tensors) {
    return new LayoutTable(tensors, true);
  }

  /** Meshes that differ in axis names only are one mesh, without names. */
  static LayoutTable withoutAxisNames(List<TensorReshard> tensors) {
    return new LayoutTable(tensors, false);
  }

  List<Mesh> meshes() {
    return meshes;
  }

  List<Sharding> layouts() {
    return layouts;
  }

  int layoutOf(Sharding layout) {
    return sameLayout.computeIfAbsent(layout, this::findLayout);
  }

  int meshOf(Sharding layout) {
    return sameMesh.computeIfAbsent(layout.mesh(), this::findMesh);
  }

  private int findLayout(Sharding layout) {
    Sharding plain = new Sharding(meshes.get(meshOf(layout)), layout.spec());
    return byLayout.computeIfAbsent(
        plain,
        key -> {
          layouts.add(key);
          return layouts.size() - 1;
        });
  }

  private int findMesh(Mesh mesh) {
    return byMesh.computeIfAbsent(
        axisNames ? mesh : mesh.withoutAxisNames(),
        key -> {
          meshes.add(key);
          return meshes.size() - 1;
        });
  }
}
