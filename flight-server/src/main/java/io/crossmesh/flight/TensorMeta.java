package io.crossmesh.flight;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.json.Json;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What a logical tensor is and how it lies on its mesh, wherever the tiles are.
 *
 * @param spec its name is the key
 */
record TensorMeta(TensorSpec spec, Sharding layout) {
  static final int NAME_CHARACTERS_MAX = 512;

  TensorMeta {
    if (spec.key().isEmpty() || spec.key().length() > NAME_CHARACTERS_MAX) {
      throw Json.bad("a tensor's name has 1 to %d characters".formatted(NAME_CHARACTERS_MAX));
    }
    if (spec.rank() != layout.rank()) {
      throw Json.bad(
          "%s has %d dimensions but the layout %s has %d"
              .formatted(spec, spec.rank(), layout.describe(), layout.rank()));
    }
  }

  /** Reads {@code tensor}, {@code shape}, {@code dtype} and {@code layout}. */
  static TensorMeta read(JsonValue json) {
    List<Long> shape =
        json.get("shape").items(TensorSpec.MAX_RANK).stream()
            .map(extent -> extent.integer(0, Long.MAX_VALUE))
            .toList();
    return new TensorMeta(
        new TensorSpec(json.get("tensor").text(), shape, DType.of(json.get("dtype").text())),
        Layouts.read(json.get("layout")));
  }

  ObjectNode write() {
    ObjectNode json = Requests.versioned().put("tensor", spec.key());
    spec.shape().forEach(json.putArray("shape")::add);
    json.put("dtype", spec.dtype().name());
    json.set("layout", Layouts.write(layout));
    return json;
  }

  String name() {
    return spec.key();
  }

  Box whole() {
    return Box.whole(spec.shape());
  }

  Box tile(int device) {
    return layout.tile(spec.shape(), device);
  }

  long bytes(Box box) {
    return box.volume() * spec.dtype().bytes();
  }

  /** The distinct tiles that are not empty, each with the hosts that hold it, in device order. */
  Map<Box, List<String>> holders() {
    Map<Box, List<String>> holders = new LinkedHashMap<>();
    for (int device = 0; device < layout.mesh().size(); device++) {
      Box box = tile(device);
      if (!box.isEmpty()) {
        List<String> hosts = holders.computeIfAbsent(box, b -> new ArrayList<>());
        String host = layout.mesh().hostOf(device);
        if (!hosts.contains(host)) {
          hosts.add(host);
        }
      }
    }
    return holders;
  }

  /** The devices of one host, as positions in the mesh. */
  List<Integer> devicesOf(String host) {
    return devicesOf(layout, host);
  }

  static List<Integer> devicesOf(Sharding layout, String host) {
    List<Integer> devices = new ArrayList<>();
    for (int device = 0; device < layout.mesh().size(); device++) {
      if (layout.mesh().hostOf(device).equals(host)) {
        devices.add(device);
      }
    }
    return devices;
  }

  /** As in "Tensor 'w' of shape [8, 16] and dtype float32 in the layout 'S0 R' on the ...". */
  String describe() {
    return spec + " in the layout " + layout.describe();
  }
}
