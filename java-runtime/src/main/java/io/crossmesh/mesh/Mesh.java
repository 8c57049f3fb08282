package io.crossmesh.mesh;

import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * An n-dimensional grid of devices, row-major, in any placement on hosts.
 *
 * @param shape the length of each mesh axis; an empty shape is a mesh of one device
 * @param axisNames a name for each axis, or empty when the axes are unnamed
 * @param devices the devices in row-major order; its size is the product of the shape
 */
public record Mesh(List<Integer> shape, List<String> axisNames, List<Device> devices) {
  /** Most axes of a mesh, those of length 1 among them: a bound on what is read, not on meshes. */
  public static final int MAX_AXES = 65_536;

  /** Most devices of a mesh. */
  public static final int MAX_DEVICES = 65_536;

  public Mesh {
    shape = List.copyOf(shape);
    axisNames = List.copyOf(axisNames);
    devices = List.copyOf(devices);
    if (shape.size() > MAX_AXES) {
      throw Checks.layout("A mesh has %d axes; use at most %d.".formatted(shape.size(), MAX_AXES));
    }
    checkSize(shape, devices.size());
    checkAxisNames(shape, axisNames);
    Set<Device> seen = HashSet.newHashSet(devices.size());
    for (Device device : devices) {
      if (!seen.add(device)) {
        throw Checks.layout(
            "Device %s appears twice in a mesh of shape %s; list each device of a mesh once."
                .formatted(device, shape));
      }
    }
  }

  /**
   * A mesh whose hosts hold the same number of devices each, in order, with local indices from 0.
   *
   * @throws io.crossmesh.CrossmeshException LAYOUT when the hosts do not divide the devices
   */
  public static Mesh ofHosts(List<Integer> shape, List<String> hosts) {
    long size = 1;
    for (int length : shape) {
      size = Math.min(size * Math.max(length, 0), MAX_DEVICES + 1L);
    }
    if (hosts.isEmpty() || size == 0 || size > MAX_DEVICES || size % hosts.size() != 0) {
      throw Checks.layout(
          ("A mesh of shape %s cannot be spread evenly over %d hosts (%s); "
                  + "give a shape of at most %d devices that the hosts divide, or list the devices.")
              .formatted(shape, hosts.size(), Checks.brief(hosts), MAX_DEVICES));
    }
    int each = (int) size / hosts.size();
    List<Device> devices =
        hosts.stream()
            .flatMap(host -> IntStream.range(0, each).mapToObj(i -> new Device(host, i)))
            .toList();
    return new Mesh(shape, List.of(), devices);
  }

  private static void checkSize(List<Integer> shape, int devices) {
    long size = 1;
    for (int length : shape) {
      if (length < 1) {
        throw Checks.layout(
            "A mesh of shape %s has an axis of length %d; each axis needs at least one device."
                .formatted(shape, length));
      }
      size = Math.min(size * length, MAX_DEVICES + 1L);
    }
    if (size > MAX_DEVICES) {
      throw Checks.layout(
          "A mesh of shape %s has more than %d devices; use a smaller mesh."
              .formatted(shape, MAX_DEVICES));
    }
    if (devices != size) {
      throw Checks.layout(
          "A mesh of shape %s needs %d devices but %d are listed; list one device for each position."
              .formatted(shape, size, devices));
    }
  }

  private static void checkAxisNames(List<Integer> shape, List<String> axisNames) {
    if (!axisNames.isEmpty() && axisNames.size() != shape.size()) {
      throw Checks.layout(
          "A mesh of shape %s has %d axes but %d axis names %s; name every axis or none."
              .formatted(shape, shape.size(), axisNames.size(), axisNames));
    }
    for (String name : axisNames) {
      Checks.name("The axis name", name);
    }
    if (new HashSet<>(axisNames).size() != axisNames.size()) {
      throw Checks.layout(
          "The axis names %s of a mesh of shape %s repeat; give each axis its own name."
              .formatted(axisNames, shape));
    }
  }

  /** Number of axes. */
  public int rank() {
    return shape.size();
  }

  /** Number of devices. */
  public int size() {
    return devices.size();
  }

  /** The distinct hosts in order of first appearance. */
  public List<String> hosts() {
    Set<String> hosts = new LinkedHashSet<>();
    for (Device device : devices) {
      hosts.add(device.host());
    }
    return List.copyOf(hosts);
  }

  /** The host of the device at a row-major position. */
  public String hostOf(int device) {
    return devices.get(device).host();
  }

  /** The same mesh without axis names: equal values of this are the same placement. */
  public Mesh withoutAxisNames() {
    return axisNames.isEmpty() ? this : new Mesh(shape, List.of(), devices);
  }

  /** As in "2x4 mesh of hosts a, b" or "2-device mesh of hosts a, b". */
  @Override
  public String toString() {
    String lengths =
        shape.size() < 2
            ? size() + "-device"
            : shape.stream().map(String::valueOf).collect(Collectors.joining("x"));
    return lengths + " mesh of hosts " + Checks.brief(hosts());
  }
}
