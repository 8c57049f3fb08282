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
 * write once and refer to by number. Meshes that differ in axis names only are one mesh here, the
 * first.
 */
final class LayoutTable {
  private final List<Mesh> meshes = new ArrayList<>();
  private final List<Sharding> layouts = new ArrayList<>();
  private final Map<Sharding, Integer> byLayout = new HashMap<>();
  private final Map<Mesh, Integer> byMesh = new HashMap<>();

  // Comparing large meshes is slow; nearly all tensors share the same few objects.
  private final IdentityHashMap<Sharding, Integer> sameLayout = new IdentityHashMap<>();
  private final IdentityHashMap<Mesh, Integer> sameMesh = new IdentityHashMap<>();

  LayoutTable(List<TensorReshard> tensors) {
    for (TensorReshard tensor : tensors) {
      layoutOf(tensor.src());
      layoutOf(tensor.dst());
    }
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
    Sharding plain = new Sharding(meshes(layout), layout.spec());
    return byLayout.computeIfAbsent(
        plain,
        key -> {
          layouts.add(plain);
          return layouts.size() - 1;
        });
  }

  private Mesh meshes(Sharding layout) {
    return meshes.get(meshOf(layout));
  }

  private int findMesh(Mesh mesh) {
    return byMesh.computeIfAbsent(
        mesh.withoutAxisNames(),
        key -> {
          meshes.add(mesh);
          return meshes.size() - 1;
        });
  }
}
