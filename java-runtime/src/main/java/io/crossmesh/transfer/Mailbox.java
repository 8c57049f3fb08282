package io.crossmesh.transfer;

/**
 * Where another process leaves commands in memory that it shares with this one, looked at in every
 * turn of the engine: a command costs neither a thread nor a system call as long as the engine is
 * awake. Called on the owner thread only.
 */
public interface Mailbox {
  /** Takes and carries out what is there, a bounded number; how many. */
  int drain();

  /**
   * Says that nobody will look until somebody wakes the engine.
   *
   * @return false when something has come meanwhile, so that sleeping would be wrong
   */
  boolean sleep();

  /** Takes the word back. */
  void wake();

  /** Whether nothing will ever come again, and the engine shall forget it. */
  boolean over();
}
