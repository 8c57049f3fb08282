package io.crossmesh;

/**
 * The closed list of ways in which crossmesh fails. Each code has one exception class in the Python
 * client and one status in the Flight endpoint; {@link #pythonName()} is what crosses the gateway.
 */
public enum Code {
  /** A layout does not fit the tensor, the mesh or what the receiver can hold. */
  LAYOUT("LayoutError"),
  /** The two ends of a channel planned from different inputs. */
  PLAN_MISMATCH("PlanMismatch"),
  /** The two ends of a channel are at different steps. */
  STEP_MISMATCH("StepMismatch"),
  /** A host or a trainer process that takes part is gone. */
  PEER_LOST("PeerLost"),
  /** The agent cannot be started or reached. */
  AGENT_UNAVAILABLE("AgentUnavailable"),
  /** A transfer did not end within its limit; it is dead on every host. */
  TRANSFER_TIMEOUT("TransferTimeout"),
  /** A party cancelled the step or closed the channel. */
  TRANSFER_CANCELLED("TransferCancelled"),
  /** Bytes arrived otherwise than they were sent, and sending them again did not help. */
  TRANSFER_CORRUPTED("TransferCorrupted"),
  /** More steps are posted than are kept. */
  TOO_MANY_STEPS("TooManySteps"),
  /** The arena's budget cannot hold what a channel needs. */
  ARENA_FULL("ArenaFull"),
  /** A wrong or missing token. */
  AUTH("AuthError"),
  /** A pipeline schedule that cannot be: its shape, its times, or the memory it needs. */
  SCHEDULE("ScheduleError"),
  /** A mistake of crossmesh itself. */
  INTERNAL("CrossmeshError");

  private final String pythonName;

  Code(String pythonName) {
    this.pythonName = pythonName;
  }

  /** The name of the exception class in the Python client. */
  public String pythonName() {
    return pythonName;
  }
}
