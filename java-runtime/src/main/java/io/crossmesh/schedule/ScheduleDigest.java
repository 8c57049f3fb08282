package io.crossmesh.schedule;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/**
 * SHA-256 over a text in ASCII that any language can write: the line {@code crossmesh-schedule-1},
 * the line {@code stages microbatches virtual} with three numbers and single spaces, and for each
 * stage one line of its operations as {@link Op#toString} writes them, with single spaces between;
 * each line ends in one line feed. The family is left out: what counts is what runs.
 */
final class ScheduleDigest {
  private static final String ENCODING = "crossmesh-schedule-1";

  private ScheduleDigest() {}

  static String of(Schedule schedule) {
    PipelineShape shape = schedule.shape();
    MessageDigest sha = sha256();
    update(
        sha,
        "%s\n%d %d %d\n"
            .formatted(ENCODING, shape.stages(), shape.microbatches(), shape.virtual()));
    for (List<Op> ops : schedule.ops()) {
      StringBuilder line = new StringBuilder(ops.size() * 8);
      for (Op op : ops) {
        line.append(line.isEmpty() ? "" : " ");
        line.append(op.kind().letter())
            .append(op.microbatch())
            .append('.')
            .append(op.virtualStage());
      }
      update(sha, line.append('\n').toString());
    }
    return HexFormat.of().formatHex(sha.digest());
  }

  private static void update(MessageDigest sha, String text) {
    sha.update(text.getBytes(StandardCharsets.US_ASCII));
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
