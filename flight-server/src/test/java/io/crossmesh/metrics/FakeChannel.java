package io.crossmesh.metrics;

import io.crossmesh.Code;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.OpenInfo;
import io.crossmesh.transfer.Participant;
import io.crossmesh.transfer.Side;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Both ends of a measured channel: the engine, which tests play, and the process. */
final class FakeChannel implements ChannelHandle, Participant {
  final List<Long> sent = new ArrayList<>();
  final List<Long> delivered = new ArrayList<>();
  final List<Long> failed = new ArrayList<>();
  private @Nullable Participant told;

  static ChannelOpen request() {
    return new ChannelOpen(
        "act",
        Side.SRC,
        List.of(),
        List.of(),
        1,
        1,
        Optional.empty(),
        Optional.empty(),
        Optional.empty(),
        "test");
  }

  ChannelHandle open(ChannelOpen request, Participant participant) {
    told = participant;
    return this;
  }

  /** Whom the engine tells. */
  Participant told() {
    Participant present = told;
    if (present == null) {
      throw new IllegalStateException("not opened");
    }
    return present;
  }

  @Override
  public void send(long step, int stagingSet) {
    sent.add(step);
  }

  @Override
  public void recv(long step) {}

  @Override
  public void release(long receipt) {}

  @Override
  public void cancel(long step, Code code, String reason) {}

  @Override
  public void abort(String reason) {}

  @Override
  public void close() {}

  @Override
  public void participantGone(String reason) {}

  @Override
  public void onOpen(OpenInfo info) {}

  @Override
  public void onSent(long step, int stagingSet) {}

  @Override
  public void onDelivered(long step) {
    delivered.add(step);
  }

  @Override
  public void onReceived(long step, long receipt, long base, boolean mustCopy) {}

  @Override
  public void onStepFailed(long step, Code code, String message) {
    failed.add(step);
  }

  @Override
  public void onChannelFailed(Code code, String message) {}

  @Override
  public void onClosed() {}
}
