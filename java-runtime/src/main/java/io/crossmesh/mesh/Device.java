package io.crossmesh.mesh;

/**
 * One device: a host and the index of the device on that host. Equal values are the same device, in
 * whatever mesh they appear; that is how meshes overlap.
 *
 * @param host name of the agent of that host
 * @param index local index on that host, from 0
 */
public record Device(String host, int index) {
  public Device {
    if (host.isBlank()) {
      throw Checks.layout("A device has an empty host name; name the host of its agent.");
    }
    Checks.name("The host name", host);
    if (index < 0) {
      throw Checks.layout(
          "Device %d of host '%s' has a negative index; number the devices of a host from 0."
              .formatted(index, host));
    }
  }

  @Override
  public String toString() {
    return host + ":" + index;
  }
}
