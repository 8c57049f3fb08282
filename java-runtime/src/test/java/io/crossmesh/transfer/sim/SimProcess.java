package io.crossmesh.transfer.sim;

import io.crossmesh.Code;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.OpenInfo;
import io.crossmesh.transfer.Participant;
import io.crossmesh.transfer.Side;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A trainer process: stages known bytes, checks received ones, keeps receipts for a while, and
 * checks that each call has exactly one answer.
 */
public final class SimProcess implements Participant {
  private record Held(long receipt, long step, long base) {}

  private final SimCluster.Host host;
  private final ChannelOpen request;
  private final Map<Long, String> outcomes = new TreeMap<>();
  private final Map<Long, Code> failures = new TreeMap<>();
  private final Map<Long, String> messages = new TreeMap<>();
  private final Map<Long, Long> called = new TreeMap<>();
  private final List<Held> held = new ArrayList<>();
  private final BitSet staging = new BitSet();
  private long infoAt;
  private int keep;
  private int copies;
  private boolean closed;
  private boolean killed;
  private @Nullable Code channelCode;
  private String channelMessage = "";
  private @Nullable OpenInfo info;
  private @Nullable ChannelHandle handle;

  private final long openedAt;

  SimProcess(SimCluster.Host host, ChannelOpen request) {
    this.host = host;
    this.request = request;
    this.openedAt = host.now();
  }

  /** Makes bytes of one opening of a channel unlike those of another, of the same step too. */
  private long life() {
    return info().channelId() * 1_000_003;
  }

  void attach(ChannelHandle opened) {
    handle = opened;
  }

  /** The host it runs on. */
  public SimCluster.Host host() {
    return host;
  }

  public ChannelHandle handle() {
    ChannelHandle present = handle;
    if (present == null) {
      throw new IllegalStateException("not attached");
    }
    return present;
  }

  public OpenInfo info() {
    OpenInfo present = info;
    if (present == null) {
      throw new AssertionError("not open: " + channelCode + " " + channelMessage);
    }
    return present;
  }

  public Side side() {
    return request.side();
  }

  /** How many received sets it keeps before it lets the oldest go. */
  public SimProcess keep(int sets) {
    keep = sets;
    return this;
  }

  public boolean isOpen() {
    return info != null;
  }

  /** Whether nothing more will come. */
  public boolean isOver() {
    return closed || channelCode != null;
  }

  public boolean isClosed() {
    return closed;
  }

  public Optional<Code> channelCode() {
    return Optional.ofNullable(channelCode);
  }

  public String channelMessage() {
    return channelMessage;
  }

  public int copies() {
    return copies;
  }

  /** What became of a step: "delivered", "received", "failed", or "" while it is open. */
  public String outcome(long step) {
    return outcomes.getOrDefault(step, "");
  }

  public @Nullable Code failure(long step) {
    return failures.get(step);
  }

  public String message(long step) {
    return messages.getOrDefault(step, "");
  }

  /** Whether every step it called has its answer, or the channel's end answered for all. */
  public boolean settled() {
    return channelCode != null || outcomes.keySet().containsAll(called.keySet());
  }

  /**
   * Fails when a call, or the opening, has had no answer for longer than its timeout.
   *
   * @param awake since when its host has been running without a pause
   */
  public void checkLimits(long awake, long slackNanos) {
    long limit = request.timeoutNanos() + slackNanos;
    long begun = Math.max(awake, info == null ? openedAt : infoAt);
    if (isOver() || host.now() - begun <= limit) {
      return;
    }
    if (info == null) {
      throw new AssertionError("%s is not open after %d ns".formatted(request.name(), limit));
    }
    called.forEach(
        (step, at) -> {
          if (!outcomes.containsKey(step) && host.now() - Math.max(begun, at) > limit) {
            throw new AssertionError(
                "step %d of %s has no end on %s after %d ns"
                    .formatted(step, request.name(), host.name(), limit));
          }
        });
  }

  /** Bytes of the arena in sets that it holds, at most: an empty set takes some too. */
  public long heldBytes() {
    return held.isEmpty() ? 0 : held.size() * ((info().setBytes() + 4096) & -4096L);
  }

  /** Stages a step and sends it, if a staging set is free. */
  public boolean send(long step) {
    int set = staging.nextClearBit(0);
    if (isOver() || set >= info().stagingSets().size()) {
      return false;
    }
    staging.set(set);
    for (OpenInfo.Tile tile : info().tiles()) {
      Pattern.fill(
          memory(info().stagingSets().get(set), tile),
          tensor(tile),
          tile.tensor(),
          tile.box(),
          step + life());
    }
    called.put(step, host.now());
    handle().send(step, set);
    return true;
  }

  /** Asks for a step. */
  public void recv(long step) {
    called.put(step, host.now());
    handle().recv(step);
  }

  private MemorySegment memory(long base, OpenInfo.Tile tile) {
    return host.arena().segment().asSlice(base + tile.offset(), tile.bytes());
  }

  private TensorSpec tensor(OpenInfo.Tile tile) {
    return request.tensors().get(tile.tensor()).tensor();
  }

  /** Lets all received sets go, checked once more: nobody may have written to them meanwhile. */
  public void releaseAll() {
    while (!held.isEmpty()) {
      release(held.removeFirst());
    }
  }

  /** The process dies without a word. */
  public void kill() {
    held.clear();
    killed = true;
    handle().participantGone("killed");
    channelCode = channelCode == null ? Code.PEER_LOST : channelCode;
  }

  private void release(Held set) {
    check(set.step, set.base, "before release");
    scribble(set.base);
    handle().release(set.receipt);
  }

  private void check(long step, long base, String when) {
    for (OpenInfo.Tile tile : info().tiles()) {
      Pattern.check(
          memory(base, tile),
          tensor(tile),
          tile.tensor(),
          tile.box(),
          step + life(),
          when + " on " + host.name());
    }
  }

  /** The memory is the process's own while it holds it: it may write there. */
  private void scribble(long base) {
    if (host.processes(request.name(), Side.DST) == 1) {
      for (OpenInfo.Tile tile : info().tiles()) {
        memory(base, tile).fill((byte) 0x55);
      }
    }
  }

  private void outcome(long step, String what) {
    if (isOver()) {
      throw new AssertionError("step %d: '%s' after the end".formatted(step, what));
    }
    if (!called.containsKey(step)) {
      throw new AssertionError("step %d was never called: '%s'".formatted(step, what));
    }
    String before = outcomes.putIfAbsent(step, what);
    if (before != null) {
      throw new AssertionError("step %d ended twice: '%s', '%s'".formatted(step, before, what));
    }
  }

  @Override
  public void onOpen(OpenInfo opened) {
    if (killed) {
      return;
    }
    if (info != null || isOver()) {
      throw new AssertionError("opened twice or after the end");
    }
    info = opened;
    infoAt = host.now();
  }

  @Override
  public void onSent(long step, int stagingSet) {
    if (killed) {
      return;
    }
    if (!staging.get(stagingSet)) {
      throw new AssertionError("staging set " + stagingSet + " was free");
    }
    staging.clear(stagingSet);
    MemorySegment segment = host.arena().segment();
    long base = info().stagingSets().get(stagingSet);
    for (long at = base; at < base + info().setBytes(); at++) {
      segment.set(ValueLayout.JAVA_BYTE, at, (byte) 0x77);
    }
  }

  @Override
  public void onDelivered(long step) {
    if (killed) {
      return;
    }
    outcome(step, "delivered");
  }

  @Override
  public void onReceived(long step, long receipt, long base, boolean mustCopy) {
    if (killed) {
      return;
    }
    outcome(step, "received");
    check(step, base, "received");
    if (held.stream().anyMatch(set -> set.base == base)) {
      throw new AssertionError("step %d: set %d is held already".formatted(step, base));
    }
    held.add(new Held(receipt, step, base));
    if (mustCopy) {
      copies++;
      release(held.removeLast());
    }
    while (held.size() > keep) {
      release(held.removeFirst());
    }
  }

  @Override
  public void onStepFailed(long step, Code code, String message) {
    if (killed) {
      return;
    }
    if (outcomes.containsKey(step)) {
      // A second call of one step number is refused by itself.
      if (code != Code.STEP_MISMATCH) {
        throw new AssertionError("step " + step + " failed after its end: " + message);
      }
      return;
    }
    outcome(step, "failed");
    failures.put(step, code);
    messages.put(step, message);
  }

  @Override
  public void onChannelFailed(Code code, String message) {
    if (killed) {
      return;
    }
    if (closed || channelCode != null) {
      throw new AssertionError("the channel ended twice: " + message);
    }
    channelCode = code;
    channelMessage = message;
  }

  @Override
  public void onClosed() {
    if (killed) {
      return;
    }
    if (isOver()) {
      throw new AssertionError("closed after the end");
    }
    closed = true;
  }
}
