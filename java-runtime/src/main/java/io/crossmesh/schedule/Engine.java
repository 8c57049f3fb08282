package io.crossmesh.schedule;

import java.util.Arrays;
import java.util.Optional;

/**
 * Runs operations and transfers event by event; see {@link Network} for who waits for what. All
 * that happens at one instant happens before anything is decided at it: first what ended, then
 * transfers start, then stages start operations.
 */
final class Engine {
  private final PipelineShape shape;
  private final Tasks tasks;
  private final Timing timing;
  private final Transfers transfers;
  private final Instants instants;
  private final long[] ticks;
  private final Network network;
  private final Links links;
  private final EventHeap events = new EventHeap();
  private final StageClock clock;

  private final long[] start;
  private final long[] end;
  private final long[] sendStart;
  private final long[] arrival;
  private final int[] running;
  private final int[] outbox;
  private final int[] sending;
  private final int[] receiving;
  private final boolean[] marked;
  private final int[] marks;
  private int markCount;
  private long now;
  private int left;
  private Optional<LowerBound> bound = Optional.empty();
  private boolean hopeless;

  /** An engine for one run of the operations of {@code timing}'s shape. */
  Engine(Tasks tasks, Timing timing, boolean split, Network network) {
    this(tasks, timing, split, network, new Transfers(tasks, timing));
  }

  private Engine(Tasks tasks, Timing timing, boolean split, Network network, Transfers transfers) {
    this(tasks, timing, split, network, transfers, Instants.of(tasks, transfers));
  }

  /** The same, which writes over the instants of a run that nobody asks about any more. */
  Engine(
      Tasks tasks,
      Timing timing,
      boolean split,
      Network network,
      Transfers transfers,
      Instants instants) {
    this.shape = tasks.shape();
    this.tasks = tasks;
    this.timing = timing;
    this.transfers = transfers;
    this.instants = instants;
    this.ticks = new long[tasks.groups()];
    for (int group = 0; group < ticks.length; group++) {
      int parts = shape.virtualStages();
      ticks[group] = timing.op(OpKind.at(group / parts), group % parts, split);
    }
    this.network = network;
    this.links = new Links(shape, network, transfers);
    int n = shape.stages();
    this.clock = new StageClock(n);
    instants.clear();
    this.start = instants.start();
    this.end = instants.end();
    this.sendStart = instants.sendStart();
    this.arrival = instants.arrival();
    this.running = new int[n];
    this.outbox = new int[n];
    Arrays.fill(running, -1);
    Arrays.fill(outbox, -1);
    this.sending = new int[n];
    this.receiving = new int[n];
    this.marked = new boolean[n];
    this.marks = new int[n];
    this.left = shape.inference() || split ? tasks.count() : tasks.transfers();
  }

  /** Gives up as soon as a run is sure to take longer than so many ticks. */
  Engine within(long most, boolean split) {
    bound = Optional.of(new LowerBound(tasks, timing, split, most));
    return this;
  }

  /** Runs until nothing happens any more, or it gives up; whether every operation has run. */
  boolean run(Dispatcher dispatcher) {
    for (int stage = 0; stage < shape.stages(); stage++) {
      mark(stage);
    }
    dispatch(dispatcher);
    while (!events.isEmpty() && !hopeless) {
      now = events.time();
      while (!events.isEmpty() && events.time() == now) {
        int event = events.poll();
        if (event < shape.stages()) {
          ended(event);
        } else {
          landed(event - shape.stages(), true);
        }
      }
      while (links.hasMarked()) {
        transfers(dispatcher);
      }
      dispatch(dispatcher);
    }
    return left == 0;
  }

  private void ended(int stage) {
    int task = running[stage];
    running[stage] = -1;
    left--;
    clock.idle(stage, now);
    mark(stage);
    int consumer = tasks.consumer(task);
    if (consumer >= 0) {
      post(consumer);
      if (!network.overlap() && shape.stages() > 1) {
        outbox[stage] = consumer;
      }
    }
    for (int skip : transfers.skipsFrom(tasks.group(task))) {
      post(skip + task % shape.microbatches());
    }
    if (!network.overlap()) {
      links.markStage(stage);
    }
  }

  private void post(int transfer) {
    if (shape.stages() == 1) {
      arrival[transfer] = now;
    } else {
      links.post(transfers.queue(transfer), transfer, now);
    }
  }

  private void landed(int transfer, boolean occupied) {
    int queue = transfers.queue(transfer);
    int receiver = tasks.stage(transfers.consumer(transfer));
    mark(receiver);
    if (occupied) {
      links.release(queue);
    }
    if (!network.overlap()) {
      int sender = tasks.stage(transfers.producer(transfer));
      if (occupied) {
        sending[sender]--;
        receiving[receiver]--;
      }
      outbox[sender] = -1;
      clock.sent(sender, now);
      mark(sender);
      links.markStage(sender);
      links.markStage(receiver);
    }
  }

  private void transfers(Dispatcher dispatcher) {
    for (int queue : links.takeMarked()) {
      while (links.head(queue) >= 0 && links.free(queue) && met(links.head(queue), dispatcher)) {
        begin(queue, links.head(queue));
      }
    }
  }

  private void begin(int queue, int transfer) {
    links.take(queue);
    long ticks = transfers.ticks(transfer);
    sendStart[transfer] = now;
    arrival[transfer] = now + ticks;
    if (ticks == 0) {
      landed(transfer, false);
      return;
    }
    links.occupy(queue);
    if (!network.overlap()) {
      sending[tasks.stage(transfers.producer(transfer))]++;
      receiving[tasks.stage(transfers.consumer(transfer))]++;
    }
    events.add(now + ticks, shape.stages() + transfer);
  }

  /** Whether both stages are at the transfer, which overlapped ones need not be. */
  private boolean met(int transfer, Dispatcher dispatcher) {
    if (network.overlap()) {
      return true;
    }
    int sender = tasks.stage(transfers.producer(transfer));
    int receiver = tasks.stage(transfers.consumer(transfer));
    boolean one = network.exchange();
    return running[sender] < 0
        && running[receiver] < 0
        && sending[sender] == 0
        && receiving[receiver] == 0
        && (one || (receiving[sender] == 0 && sending[receiver] == 0))
        && (outbox[receiver] >= 0 || dispatcher.next(receiver) < 0);
  }

  private void dispatch(Dispatcher dispatcher) {
    int count = markCount;
    markCount = 0;
    for (int i = 0; i < count; i++) {
      int stage = marks[i];
      marked[stage] = false;
      boolean free =
          running[stage] < 0 && outbox[stage] < 0 && sending[stage] == 0 && receiving[stage] == 0;
      int task = free ? dispatcher.next(stage) : -1;
      if (task >= 0) {
        begin(stage, task, dispatcher);
      }
    }
  }

  private void begin(int stage, int task, Dispatcher dispatcher) {
    // What skips stages was made before what came through them.
    int producer = tasks.producer(task);
    clock.starts(stage, now, producer < 0 ? -1 : end[producer]);
    long takes = ticks(task);
    clock.works(stage, takes);
    start[task] = now;
    end[task] = now + takes;
    running[stage] = task;
    events.add(now + takes, stage);
    dispatcher.started(task);
    if (bound.isPresent()) {
      hopeless |= bound.get().isBroken(stage, tasks.kind(task), takes, end[task]);
    }
  }

  private void mark(int stage) {
    if (!marked[stage]) {
      marked[stage] = true;
      marks[markCount++] = stage;
    }
  }

  /** Whether what an operation needs from elsewhere is on its stage. */
  boolean arrived(int task) {
    if (tasks.producer(task) >= 0 && !isHere(task)) {
      return false;
    }
    for (int skip : transfers.skipsInto(tasks.group(task))) {
      if (!isHere(skip + task % shape.microbatches())) {
        return false;
      }
    }
    return true;
  }

  private boolean isHere(int transfer) {
    return arrival[transfer] >= 0 && arrival[transfer] <= now;
  }

  /** What an operation takes. */
  long ticks(int task) {
    return ticks[tasks.group(task)];
  }

  boolean started(int task) {
    return start[task] >= 0;
  }

  /** When the input of an operation will be there, if all of it is on its way; else -1. */
  long arrival(int task) {
    long latest = arrival[task];
    for (int skip : transfers.skipsInto(tasks.group(task))) {
      long other = arrival[skip + task % shape.microbatches()];
      latest = latest < 0 || other < 0 ? -1 : Math.max(latest, other);
    }
    return latest;
  }

  long now() {
    return now;
  }

  /** What the run took, in ticks. */
  long makespan() {
    return clock.latest();
  }

  StageClock clock() {
    return clock;
  }

  Timeline timeline() {
    return new Timeline(tasks, transfers, instants);
  }
}
