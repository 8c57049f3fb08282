package io.crossmesh.mesh;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * JSON of this package's values. Reading checks every type and range; what does not fit is refused
 * with LAYOUT and the path of the value.
 *
 * <pre>
 * mesh      {"shape":[2,4],"axis_names":["x","y"],"devices":[["a",0],["a",1],...]}
 * spec      [[0],[],[1]]
 * tensor    {"key":"w","shape":[8,16],"dtype":"int32"}
 * box       [[lo,hi],...]
 * topology  {"hosts":{"a":[{"bandwidth":1.25e9,"latency":5e-5}]},
 *            "limits":[{"hosts":["a","b"],"bandwidth":2.5e9}]}
 * </pre>
 */
public final class MeshJson {
  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

  private MeshJson() {}

  public static ObjectNode write(Mesh mesh) {
    ObjectNode node = JSON.objectNode();
    mesh.shape().forEach(node.putArray("shape")::add);
    mesh.axisNames().forEach(node.putArray("axis_names")::add);
    ArrayNode devices = node.putArray("devices");
    for (Device device : mesh.devices()) {
      devices.addArray().add(device.host()).add(device.index());
    }
    return node;
  }

  public static Mesh readMesh(JsonValue value) {
    value.allow(Set.of("shape", "axis_names", "devices"));
    List<Integer> shape = value.get("shape").indices(Mesh.MAX_AXES, Mesh.MAX_DEVICES);
    List<String> names =
        value.find("axis_names").map(v -> v.texts(Mesh.MAX_AXES)).orElse(List.of());
    List<Device> devices = new ArrayList<>();
    for (JsonValue pair : value.get("devices").items(Mesh.MAX_DEVICES)) {
      List<JsonValue> items = pair.items(2);
      if (items.size() != 2) {
        throw pair.refuse("a pair of host and local index");
      }
      devices.add(
          new Device(items.get(0).text(), (int) items.get(1).integer(0, Integer.MAX_VALUE)));
    }
    return new Mesh(shape, names, devices);
  }

  /** The spec of a layout; its mesh is written apart. */
  public static ArrayNode writeSpec(Sharding sharding) {
    ArrayNode node = JSON.arrayNode();
    for (List<Integer> axes : sharding.spec()) {
      axes.forEach(node.addArray()::add);
    }
    return node;
  }

  public static Sharding readSpec(JsonValue value, Mesh mesh) {
    List<List<Integer>> spec = new ArrayList<>();
    for (JsonValue axes : value.items(TensorSpec.MAX_RANK)) {
      spec.add(axes.indices(Mesh.MAX_AXES, Mesh.MAX_AXES - 1));
    }
    return new Sharding(mesh, spec);
  }

  public static ObjectNode write(TensorSpec tensor) {
    ObjectNode node = JSON.objectNode();
    node.put("key", tensor.key());
    tensor.shape().forEach(node.putArray("shape")::add);
    return node.put("dtype", tensor.dtype().name());
  }

  /** Reads the fields of a tensor; the object may have others. */
  public static TensorSpec readTensor(JsonValue value) {
    List<Long> shape =
        value.get("shape").items(TensorSpec.MAX_RANK).stream()
            .map(extent -> extent.integer(0, Long.MAX_VALUE))
            .toList();
    return new TensorSpec(value.get("key").text(), shape, DType.of(value.get("dtype").text()));
  }

  public static ArrayNode write(Box box) {
    ArrayNode node = JSON.arrayNode();
    for (int d = 0; d < box.rank(); d++) {
      node.addArray().add(box.lo(d)).add(box.hi(d));
    }
    return node;
  }

  public static Box readBox(JsonValue value) {
    List<JsonValue> ranges = value.items(TensorSpec.MAX_RANK);
    long[] lo = new long[ranges.size()];
    long[] hi = new long[ranges.size()];
    for (int d = 0; d < lo.length; d++) {
      List<JsonValue> ends = ranges.get(d).items(2);
      if (ends.size() != 2) {
        throw ranges.get(d).refuse("a pair [lo, hi]");
      }
      lo[d] = ends.get(0).integer(0, Long.MAX_VALUE);
      hi[d] = ends.get(1).integer(lo[d], Long.MAX_VALUE);
    }
    return Box.of(lo, hi);
  }

  public static ObjectNode write(Topology topology) {
    ObjectNode node = JSON.objectNode();
    ObjectNode hosts = node.putObject("hosts");
    topology
        .hosts()
        .forEach(
            (host, nics) -> {
              ArrayNode array = hosts.putArray(host);
              for (Nic nic : nics) {
                array.addObject().put("bandwidth", nic.bandwidth()).put("latency", nic.latency());
              }
            });
    ArrayNode limits = node.putArray("limits");
    for (Limit limit : topology.limits()) {
      ObjectNode object = limits.addObject();
      limit.hosts().forEach(object.putArray("hosts")::add);
      object.put("bandwidth", limit.bandwidth());
    }
    return node;
  }

  public static Topology readTopology(JsonValue value) {
    value.allow(Set.of("hosts", "limits"));
    JsonValue hosts = value.get("hosts");
    SortedMap<String, List<Nic>> nics = new TreeMap<>();
    for (String host : hosts.names(Topology.MAX_HOSTS)) {
      nics.put(
          host, hosts.get(host).items(Topology.MAX_NICS).stream().map(MeshJson::readNic).toList());
    }
    List<Limit> limits = new ArrayList<>();
    for (JsonValue limit :
        value.find("limits").map(v -> v.items(Topology.MAX_LIMITS)).orElse(List.of())) {
      limit.allow(Set.of("hosts", "bandwidth"));
      limits.add(new Limit(limit.get("hosts").texts(Topology.MAX_HOSTS), bandwidth(limit)));
    }
    return new Topology(nics, limits);
  }

  private static Nic readNic(JsonValue nic) {
    nic.allow(Set.of("bandwidth", "latency"));
    return new Nic(bandwidth(nic), nic.get("latency").number(0, Nic.MAX_LATENCY));
  }

  private static double bandwidth(JsonValue value) {
    return value.get("bandwidth").number(Nic.MIN_BANDWIDTH, Nic.MAX_BANDWIDTH);
  }
}
