package io.crossmesh.agent;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.FileFailures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The file by which an agent tells its starter, and nobody else, its ports and tokens. Mode 0600,
 * written under a temporary name and renamed: once it exists the agent is ready. Removed at the
 * end.
 */
final class InfoFile implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(InfoFile.class);

  private final Path path;
  private final byte[] content;

  private InfoFile(Path path, byte[] content) {
    this.path = path;
    this.content = content;
  }

  static InfoFile publish(Path path, ObjectNode info) {
    byte[] content = info.toString().getBytes(java.nio.charset.StandardCharsets.UTF_8);
    try {
      PrivateFiles.writeAtomically(path, content);
    } catch (IOException e) {
      throw new CrossmeshException(
          Code.AGENT_UNAVAILABLE,
          "cannot write the info file %s (%s); name a file in a writable directory with --info-file."
              .formatted(path, FileFailures.reason(e)),
          e);
    }
    return new InfoFile(path, content);
  }

  @Override
  public void close() {
    try {
      // Another agent started with the same path has replaced ours: leave it.
      if (Files.exists(path) && java.util.Arrays.equals(Files.readAllBytes(path), content)) {
        Files.deleteIfExists(path);
      }
    } catch (IOException e) {
      LOG.warn("cannot remove {}: {}", path, e.toString());
    }
  }
}
