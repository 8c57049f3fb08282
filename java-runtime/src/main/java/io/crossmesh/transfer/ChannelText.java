package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.Plan;

/** The words in which a channel fails: always with its tensors, their layouts and what to do. */
final class ChannelText {
  private final String host;
  private final Binding binding;

  ChannelText(String host, Binding binding) {
    this.host = host;
    this.binding = binding;
  }

  /** The channel and its tensors. */
  String what() {
    int more = binding.request().tensors().size() - 1;
    return "channel '%s' (%s%s)"
        .formatted(
            binding.name(),
            binding.request().tensors().getFirst().describe(),
            more > 0 ? " and " + more + " more" : "");
  }

  /** Two steps that the parties do not agree on. */
  Failure mismatch(long step, long later, String why) {
    return new Failure(
        Code.STEP_MISMATCH,
        ("Step %d of %s cannot be completed: %s. Steps %d and %d are over; give both ends the same"
                + " step numbers.")
            .formatted(step, what(), why, step, later));
  }

  /** A step that lost a chunk. */
  Failure lostChunk(String reason) {
    return new Failure(
        Code.PEER_LOST,
        "Host '%s' lost the connection to another host of %s: %s. See whether all agents run."
            .formatted(host, what(), reason));
  }

  /** A step of which some bytes are nowhere any more. */
  Failure nobodyHas(Failure loss, long step, String tensor) {
    return new Failure(
        loss.code(),
        "Step %d cannot be completed on host '%s', as no other host has all of tensor '%s'. %s"
            .formatted(step, host, tensor, loss.message()));
  }

  /** A tile that is not what was sent. */
  Failure unlike(long step, Plan plan, int index, String sender) {
    Move move = plan.moves().get(index);
    return new Failure(
        Code.TRANSFER_CORRUPTED,
        ("Step %d of %s: what host '%s' sent of tensor '%s', %s of device %d's tile, arrived on host"
                + " '%s' with other bytes for devices %s. See to the memory and the network of both.")
            .formatted(
                step,
                what(),
                sender,
                plan.request().tensors().get(move.tensor()).tensor().key(),
                move.box(),
                move.sender(),
                host,
                move.receivers()));
  }

  /** A step that landed, but whose sender is lost before it has said what it sent. */
  Failure unverified(long step, String lost) {
    return new Failure(
        Code.PEER_LOST,
        "Step %d of %s has landed on host '%s', but host '%s' is lost and had not said by digests what it sent. Start its agent again and open the channel anew."
            .formatted(step, what(), host, lost));
  }

  /** This host is lost to another one. */
  Failure cutOff(String by, String reason) {
    return new Failure(
        Code.PEER_LOST,
        "Host '%s' has lost the connection to host '%s' (%s): %s cannot go on. See whether the network between them works and open the channel anew."
            .formatted(by, host, reason, what()));
  }

  /** A host that is gone. */
  Failure lostHost(String lost, String reason) {
    return new Failure(
        Code.PEER_LOST,
        "Host '%s' is lost (%s): %s cannot go on. Start its agent again and open the channel anew."
            .formatted(lost, reason, what()));
  }

  /** A closing after which there are no more steps. */
  Failure closed(String closer, long lastStep) {
    return new Failure(
        Code.TRANSFER_CANCELLED,
        "Host '%s' closed its end of %s%s; open the channel anew to go on."
            .formatted(
                closer,
                what(),
                lastStep == Long.MIN_VALUE ? " before any step" : " after step " + lastStep));
  }
}
