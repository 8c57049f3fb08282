package io.crossmesh.flight;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.OpenInfo;
import io.crossmesh.transfer.Participant;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;

/**
 * This host's part on one side of a reshard: one step over a channel of its own. The engine's calls
 * come on its owner thread, so copies are made elsewhere.
 */
abstract sealed class Part implements Participant permits SourcePart, DestinationPart {
  static final long STEP = 0;

  private final Executor executor;
  private final CompletableFuture<ChannelHandle> handle = new CompletableFuture<>();
  private final CompletableFuture<List<StoredTile>> done = new CompletableFuture<>();
  private final CompletableFuture<String> digest = new CompletableFuture<>();

  Part(Executor executor) {
    this.executor = executor;
  }

  /** What the channel's opening answered. */
  final void attach(ChannelHandle opened) {
    handle.complete(opened);
  }

  /** The tiles that came, none on the source side. Fails as the transfer does. */
  final CompletableFuture<List<StoredTile>> done() {
    return done;
  }

  /** The digest of the plan that all hosts agreed on, known once the channel is open. */
  final String digest() {
    return digest.getNow("");
  }

  final void finish(List<StoredTile> tiles) {
    if (!done.complete(tiles)) {
      tiles.forEach(StoredTile::close);
    }
  }

  final void fail(Code code, String message) {
    done.completeExceptionally(new CrossmeshException(code, message));
  }

  /** Ends this part: in peace after it is done, for all parties before. */
  final void end(String reason) {
    boolean peace = done.isDone() && !done.isCompletedExceptionally();
    var _ =
        handle.thenAccept(
            channel -> {
              if (peace) {
                channel.close();
              } else {
                channel.abort(reason);
              }
            });
    fail(Code.TRANSFER_CANCELLED, reason);
  }

  /** Runs work that takes its time; what it throws ends the part for all. */
  final void elsewhere(Work work) {
    var _ =
        handle.thenAcceptAsync(
            channel -> {
              try {
                work.run(channel);
              } catch (CrossmeshException e) {
                fail(e.code(), e.getMessage());
                channel.abort(e.getMessage());
              } catch (RuntimeException e) {
                done.completeExceptionally(e);
                channel.abort("a host failed: " + e.getMessage());
              }
            },
            executor);
  }

  /** Work with the channel. */
  @FunctionalInterface
  interface Work {
    void run(ChannelHandle channel);
  }

  @Override
  public void onOpen(OpenInfo info) {
    digest.complete(info.plan().digest());
    elsewhere(channel -> opened(info, channel));
  }

  /** The channel is open; not on the owner thread. */
  abstract void opened(OpenInfo info, ChannelHandle channel);

  @Override
  public void onSent(long step, int stagingSet) {
    // One step only: the staging set is not used again.
  }

  @Override
  public void onStepFailed(long step, Code code, String message) {
    fail(code, message);
  }

  @Override
  public void onChannelFailed(Code code, String message) {
    fail(code, message);
  }

  @Override
  public void onClosed() {
    fail(Code.TRANSFER_CANCELLED, "the channel was closed before the reshard was done; try again.");
  }
}
