package io.crossmesh.gateway;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.CrossmeshException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
final class LifelinesTest {
  @TempDir Path directory;
  private Lifelines lifelines;

  @BeforeEach
  void open() {
    lifelines = Lifelines.open(directory);
  }

  @AfterEach
  void close() {
    lifelines.close();
  }

  @Test
  void theSocketIsForItsOwnerAndGoesAtTheEnd() throws IOException {
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(lifelines.path())))
        .isEqualTo("rw-------");
    lifelines.close();
    assertThat(lifelines.path()).doesNotExist();
    lifelines.close();
  }

  @Test
  void theEndOfAConnectionIsToldOnceAndOfNoOther() throws Exception {
    CompletableFuture<String> first = new CompletableFuture<>();
    CompletableFuture<String> second = new CompletableFuture<>();
    try (Lived one = Lived.at(lifelines.path());
        Lived other = Lived.at(lifelines.path())) {
      lifelines.take(one.key(), () -> first.complete("ended"));
      lifelines.take(other.key(), () -> second.complete("ended"));
      one.end();
      assertThat(first.get(30, TimeUnit.SECONDS)).isEqualTo("ended");
      other.say("later".getBytes(StandardCharsets.US_ASCII));
      assertThat(second).isNotDone();
    }
    assertThat(second.get(30, TimeUnit.SECONDS)).isEqualTo("ended");
  }

  @Test
  void aConnectionThatIsClosedHereTellsNobody() throws IOException {
    CompletableFuture<String> ended = new CompletableFuture<>();
    try (Lived client = Lived.at(lifelines.path())) {
      lifelines.take(client.key(), () -> ended.complete("ended")).close();
      assertThat(client.hear()).isEqualTo(-1);
    }
    assertThat(ended).isNotDone();
  }

  @Test
  void aKeyIsGoodForOneSessionAndOnlyWhileItsClientLives() throws IOException {
    try (Lived client = Lived.at(lifelines.path())) {
      lifelines.take(client.key(), () -> {});
      assertRefused(client.key());
    }
    String gone;
    try (Lived client = Lived.at(lifelines.path())) {
      gone = client.key();
    }
    // A connection that is made later is heard later.
    try (Lived later = Lived.at(lifelines.path())) {
      assertRefused(gone);
      lifelines.take(later.key(), () -> {});
    }
    assertRefused("00");
  }

  private void assertRefused(String key) {
    assertThatThrownBy(() -> lifelines.take(key, () -> {}))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("connect again");
  }

  @Test
  void whoSpeaksSomethingElseIsClosed() throws IOException {
    try (Lived stranger = Lived.silent(lifelines.path())) {
      stranger.say("GET / HTTP/1.1 123456789".getBytes(StandardCharsets.US_ASCII));
      assertThat(stranger.hear()).isEqualTo(-1);
    }
  }

  @Test
  void aDirectoryWithAPathLongerThanThatOfASocketWillDo() throws IOException {
    Path deep = Files.createDirectories(directory.resolve("a".repeat(90)).resolve("b".repeat(90)));
    try (Lifelines far = Lifelines.open(deep)) {
      assertThat(far.path()).exists();
      Path near = Files.createSymbolicLink(directory.resolve("near"), deep);
      try (Lived client = Lived.at(near.resolve(far.path().getFileName()))) {
        far.take(client.key(), () -> {}).close();
      }
    }
  }
}
