package io.crossmesh.agent;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.CrossmeshException;
import io.crossmesh.json.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Objects;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PrivateFilesTest {
  @TempDir Path parent;

  @Test
  void theDirectoryIsForItsOwnerAndGoesAtTheEnd() throws IOException {
    PrivateDirectory directory = PrivateDirectory.create(parent, "a");
    Path path = directory.path();
    assertThat(path.getFileName().toString()).isEqualTo("a-" + ProcessHandle.current().pid());
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path)))
        .isEqualTo("rwx------");
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(path.getParent())))
        .isEqualTo("rwx------");
    Files.createDirectories(path.resolve("deep/er"));
    directory.close();
    assertThat(path).doesNotExist();
    directory.close();
  }

  @Test
  void whatADeadAgentLeftIsRemovedAndALiveOneIsNot() throws IOException {
    try (PrivateDirectory live = PrivateDirectory.create(parent, "live")) {
      Path dead = live.path().resolveSibling("dead-999999999");
      Files.createDirectories(dead.resolve("jucx123"));
      Files.createFile(dead.resolve("lock"));
      Files.createFile(dead.resolve("arena"));
      try (PrivateDirectory next = PrivateDirectory.create(parent, "next")) {
        assertThat(dead).doesNotExist();
        assertThat(live.path()).isDirectory();
        assertThat(next.path()).isDirectory();
      }
    }
  }

  @Test
  void anAgentOfTheSameNameAndNumberInAnotherContainerIsLeftAlone() throws IOException {
    try (PrivateDirectory theirs = PrivateDirectory.create(parent, "a");
        PrivateDirectory ours = PrivateDirectory.create(parent, "a")) {
      assertThat(theirs.path()).isDirectory();
      assertThat(ours.path()).isDirectory().isNotEqualTo(theirs.path());
    }
  }

  @Test
  void aLinkInPlaceOfTheUsersDirectoryIsRefused() throws IOException {
    Path base;
    try (PrivateDirectory directory = PrivateDirectory.create(parent, "a")) {
      base = Objects.requireNonNull(directory.path().getParent());
    }
    PrivateFiles.deleteTree(base);
    Files.createSymbolicLink(base, Files.createDirectory(parent.resolve("elsewhere")));
    assertThatThrownBy(() -> PrivateDirectory.create(parent, "a"))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("--arena-dir");
  }

  @Test
  void theInfoFileIsForItsOwnerAndGoesAtTheEnd() throws IOException {
    Path file = parent.resolve("info.json");
    InfoFile info = InfoFile.publish(file, Json.object().put("v", 1));
    assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
        .isEqualTo("rw-------");
    assertThat(file).hasContent("{\"v\":1}");
    try (var entries = Files.list(parent)) {
      assertThat(entries).containsExactly(file);
    }
    info.close();
    assertThat(file).doesNotExist();
    info.close();
  }

  @Test
  void anInfoFileThatAnotherAgentReplacedStays() throws IOException {
    Path file = parent.resolve("info.json");
    InfoFile first = InfoFile.publish(file, Json.object().put("v", 1));
    InfoFile second = InfoFile.publish(file, Json.object().put("v", 2));
    first.close();
    assertThat(file).exists();
    second.close();
    assertThat(file).doesNotExist();
  }

  @Test
  void anInfoFileInNoDirectoryIsRefused() {
    assertThatThrownBy(() -> InfoFile.publish(parent.resolve("no/info"), Json.object()))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("--info-file");
  }
}
