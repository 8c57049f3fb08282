package io.crossmesh.gateway;

import io.crossmesh.Code;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.Participant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;

/** Notes what is asked of it; tests play the engine's part themselves. */
final class FakeEngine implements ChannelOpener {
  final List<ChannelOpen> requests = new ArrayList<>();
  final List<Participant> participants = new ArrayList<>();
  final List<String> calls = new CopyOnWriteArrayList<>();
  final CompletableFuture<String> gone = new CompletableFuture<>();

  @Override
  public ChannelHandle open(ChannelOpen request, Participant participant) {
    requests.add(request);
    participants.add(participant);
    return new Handle();
  }

  private final class Handle implements ChannelHandle {
    @Override
    public void send(long step, int stagingSet) {
      calls.add("send " + step + " " + stagingSet);
    }

    @Override
    public void recv(long step) {
      calls.add("recv " + step);
    }

    @Override
    public void release(long receipt) {
      calls.add("release " + receipt);
    }

    @Override
    public void cancel(long step, Code code, String reason) {
      calls.add("cancel " + step + " " + code + " " + reason);
    }

    @Override
    public void abort(String reason) {
      calls.add("abort " + reason);
    }

    @Override
    public void close() {
      calls.add("close");
    }

    @Override
    public void participantGone(String reason) {
      calls.add("gone " + reason);
      gone.complete(reason);
    }
  }
}
