package io.crossmesh.transfer;

import java.util.List;

/**
 * What a host makes for a channel beside its owner thread, before that thread has it: its part of
 * the plan and all the memory that the channel will need.
 *
 * @param sent tiles of each process of the source side, in their order
 * @param received the same of the destination side
 */
record Preparation(
    HostPlan plan,
    ChannelMemory memory,
    List<List<OpenInfo.Tile>> sent,
    List<List<OpenInfo.Tile>> received) {
  /**
   * Reserves the memory, which takes long where it is large.
   *
   * @throws io.crossmesh.CrossmeshException ARENA_FULL; nothing is held then
   */
  static Preparation of(
      Node node,
      Binding binding,
      HostPlan plan,
      List<LocalParticipant> senders,
      List<LocalParticipant> receivers) {
    int depth = receivers.stream().mapToInt(r -> r.open().depth()).max().orElse(0);
    List<List<OpenInfo.Tile>> sent =
        senders.stream().map(sender -> tiles(plan.staging().get(sender.index()), sender)).toList();
    List<List<OpenInfo.Tile>> received =
        receivers.stream().map(receiver -> tiles(plan.landing(), receiver)).toList();
    return new Preparation(
        plan, new ChannelMemory(node, binding.name(), plan, depth, senders), sent, received);
  }

  private static List<OpenInfo.Tile> tiles(SetLayout layout, LocalParticipant process) {
    return layout.tilesOf(process.open().devices());
  }

  /** The tiles of a process. */
  List<OpenInfo.Tile> tiles(LocalParticipant process) {
    return (process.open().side() == Side.SRC ? sent : received).get(process.index());
  }
}
