package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.Mesh;
import java.util.HashSet;
import java.util.Set;

/** What is wrong with one opening by itself, whoever the other parties are. */
final class ClaimCheck {
  private static final int NAME_CHARS_MAX = 512;

  private ClaimCheck() {}

  /**
   * Checks a claim of a process of this host or of a peer.
   *
   * @throws CrossmeshException LAYOUT naming the channel and what to change
   */
  static void check(Claim claim) {
    String name = claim.name();
    if (name.isEmpty() || name.length() > NAME_CHARS_MAX) {
      throw layout(
          "A channel's name has 1 to %d characters, not %d; choose another."
              .formatted(NAME_CHARS_MAX, name.length()));
    }
    if (claim.tensors().isEmpty()) {
      throw layout("Channel '%s' has no tensors; give at least one.".formatted(name));
    }
    Mesh mesh = claim.tensors().getFirst().layout().mesh();
    for (TensorSide tensor : claim.tensors()) {
      if (!tensor.layout().mesh().devices().equals(mesh.devices())) {
        throw layout(
            ("Channel '%s': %s lies on a %s, other tensors of this side on a %s with other devices;"
                    + " put all tensors of a side on the same devices or use a channel for each.")
                .formatted(name, tensor.tensor(), tensor.layout().mesh(), mesh));
      }
      if (tensor.layout().rank() != tensor.tensor().shape().size()) {
        throw layout(
            ("Channel '%s': %s has %d dimensions, but its layout is %s (%d); give one item per"
                    + " dimension.")
                .formatted(
                    name,
                    tensor.tensor(),
                    tensor.tensor().shape().size(),
                    tensor.layout().describe(),
                    tensor.layout().rank()));
      }
    }
    checkDevices(claim, mesh);
  }

  private static void checkDevices(Claim claim, Mesh mesh) {
    if (claim.devices().isEmpty()) {
      throw layout(
          "Channel '%s': the process holds no device of the %s; open it where its devices are."
              .formatted(claim.name(), mesh));
    }
    Set<Integer> seen = new HashSet<>();
    for (int device : claim.devices()) {
      if (device < 0 || device >= mesh.size()) {
        throw layout(
            "Channel '%s': device %d is not in the %s; devices are 0 to %d."
                .formatted(claim.name(), device, mesh, mesh.size() - 1));
      }
      if (!mesh.hostOf(device).equals(claim.host())) {
        throw layout(
            "Channel '%s': device %d of the %s is on host '%s', not on '%s'; open it there."
                .formatted(claim.name(), device, mesh, mesh.hostOf(device), claim.host()));
      }
      if (!seen.add(device)) {
        throw layout(
            "Channel '%s': device %d is listed twice; list each device once."
                .formatted(claim.name(), device));
      }
    }
  }

  /** Checks what only this host knows of an opening. */
  static void check(ChannelOpen open) {
    if (open.depth() < 1 || open.depth() > ChannelOpen.DEPTH_MAX) {
      throw layout(
          "Channel '%s': depth is 1 to %d, not %d."
              .formatted(open.name(), ChannelOpen.DEPTH_MAX, open.depth()));
    }
    if (open.timeoutNanos() < 1 || open.stepTimeoutNanos().orElse(1) < 1) {
      throw layout("Channel '%s': give a timeout above 0.".formatted(open.name()));
    }
  }

  private static CrossmeshException layout(String message) {
    return new CrossmeshException(Code.LAYOUT, message);
  }
}
