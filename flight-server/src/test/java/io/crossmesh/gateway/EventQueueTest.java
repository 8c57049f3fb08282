package io.crossmesh.gateway;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.json.Json;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(20)
class EventQueueTest {
  private final EventQueue queue = new EventQueue();

  private void add(ObjectNode event) {
    queue.add(() -> event);
  }

  @Test
  void eventsComeInOrder() throws InterruptedException {
    for (int i = 0; i < 3; i++) {
      add(Json.object().put("i", i));
    }
    assertThat(queue.take(0).toString()).isEqualTo("[{\"i\":0},{\"i\":1},{\"i\":2}]");
    assertThat(queue.take(0)).isEmpty();
  }

  @Test
  void anAnswerIsLimitedAndNothingIsLost() throws InterruptedException {
    int more = 10;
    for (int i = 0; i < EventQueue.BATCH_MAX + more; i++) {
      add(Json.object().put("i", i));
    }
    assertThat(queue.take(0)).hasSize(EventQueue.BATCH_MAX);
    assertThat(queue.take(0)).hasSize(more);
  }

  @Test
  void whoeverWaitsIsWokenByAnEvent() throws Exception {
    CompletableFuture<Integer> waiting = takeElsewhere();
    add(Json.object());
    assertThat(waiting.get(10, TimeUnit.SECONDS)).isEqualTo(1);
  }

  @Test
  void whoeverWaitsIsWokenByTheEnd() throws Exception {
    CompletableFuture<Integer> waiting = takeElsewhere();
    queue.close();
    assertThat(waiting.get(10, TimeUnit.SECONDS)).isZero();
    add(Json.object());
    assertThat(queue.size()).isZero();
  }

  private CompletableFuture<Integer> takeElsewhere() {
    return CompletableFuture.supplyAsync(
        () -> {
          try {
            return queue.take(60_000).size();
          } catch (InterruptedException e) {
            throw new CompletionException(e);
          }
        });
  }
}
