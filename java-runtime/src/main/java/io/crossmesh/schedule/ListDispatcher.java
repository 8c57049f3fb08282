package io.crossmesh.schedule;

/** A schedule's own lists, each operation as soon as its input is there. */
final class ListDispatcher implements Dispatcher {
  private final Engine engine;
  private final Tasks tasks;
  private final int[][] lists;
  private final int[] position;

  ListDispatcher(Engine engine, Tasks tasks, int[][] lists) {
    this.engine = engine;
    this.tasks = tasks;
    this.lists = lists;
    this.position = new int[lists.length];
  }

  @Override
  public int next(int stage) {
    if (position[stage] == lists[stage].length) {
      return -1;
    }
    int task = lists[stage][position[stage]];
    return engine.arrived(task) ? task : -1;
  }

  @Override
  public void started(int task) {
    position[tasks.stage(task)]++;
  }

  /** The first stage that has something left, as a sentence for messages. */
  String stuck() {
    for (int stage = 0; stage < lists.length; stage++) {
      if (position[stage] < lists[stage].length) {
        return "stage %d waits for ever to start %s"
            .formatted(stage, tasks.op(lists[stage][position[stage]]));
      }
    }
    return "nothing is left";
  }
}
