package io.crossmesh.plan;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** A plan as plain text: what moves, how, over which NICs, and how far from the bound. */
final class Explain {
  /** Rows of a table before the rest is only counted. */
  private static final int ROWS = 20;

  private Explain() {}

  static String text(Plan plan) {
    StringBuilder text = new StringBuilder();
    text.append(
        String.format(
            Locale.ROOT,
            "plan %s: %d tensors, %d unit tasks, %d moves, strategy %s, order %s\n",
            plan.digest().substring(0, 12),
            plan.request().tensors().size(),
            plan.tasks().size(),
            plan.moves().size(),
            plan.request().strategy(),
            plan.request().order()));
    text.append(
        String.format(
            Locale.ROOT,
            "makespan %s, lower bound %s, gap %.2f %%\n\n",
            seconds(plan.makespan()),
            seconds(plan.lowerBound()),
            100 * plan.gap()));
    table(text, tensors(plan), plan.request().tensors().size());
    table(text, hosts(plan), plan.bytesSent().size());
    table(text, moves(plan), plan.moves().size());
    return text.toString();
  }

  private static List<List<String>> tensors(Plan plan) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of(
            "tensor",
            "shape",
            "dtype",
            "from",
            "mesh",
            "to",
            "mesh",
            "bytes",
            "strategy",
            "chunk"));
    for (int i = 0; i < plan.request().tensors().size() && i < ROWS; i++) {
      TensorReshard tensor = plan.request().tensors().get(i);
      Chosen chosen = plan.chosen().get(i);
      rows.add(
          List.of(
              tensor.tensor().key().isEmpty() ? "-" : tensor.tensor().key(),
              tensor.tensor().shape().toString(),
              tensor.tensor().dtype().name(),
              tensor.src().toString(),
              tensor.src().mesh().toString(),
              tensor.dst().toString(),
              tensor.dst().mesh().toString(),
              bytes(tensor.tensor().bytes()),
              chosen.strategy().id(),
              bytes(chosen.chunkBytes())));
    }
    return rows;
  }

  private static List<List<String>> hosts(Plan plan) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("host", "bandwidth", "sent", "busy", "received", "busy"));
    for (String host : plan.bytesSent().keySet().stream().limit(ROWS).toList()) {
      double bandwidth = plan.request().topology().bandwidth(host);
      long sent = plan.bytesSent().getOrDefault(host, 0L);
      long received = plan.bytesReceived().getOrDefault(host, 0L);
      rows.add(
          List.of(
              host,
              String.format(Locale.ROOT, "%.3g GB/s", bandwidth / 1e9),
              bytes(sent),
              seconds(sent / bandwidth),
              bytes(received),
              seconds(received / bandwidth)));
    }
    return rows;
  }

  private static List<List<String>> moves(Plan plan) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(
        List.of(
            "move", "tensor", "slice", "bytes", "chunks", "route", "receivers", "start", "end"));
    for (int i = 0; i < plan.moves().size() && i < ROWS; i++) {
      Move move = plan.moves().get(i);
      String key = plan.request().tensors().get(move.tensor()).tensor().key();
      rows.add(
          List.of(
              Integer.toString(i),
              key.isEmpty() ? "-" : key,
              move.box().toString(),
              bytes(move.bytes()),
              Long.toString(move.chunks()),
              String.join(" > ", move.route()),
              brief(move.receivers()),
              seconds(move.start()),
              seconds(move.end())));
    }
    return rows;
  }

  private static String brief(List<Integer> devices) {
    return devices.size() <= 8
        ? devices.toString()
        : devices.subList(0, 8) + " and " + (devices.size() - 8) + " more";
  }

  private static void table(StringBuilder text, List<List<String>> rows, int total) {
    int[] width = new int[rows.getFirst().size()];
    for (List<String> row : rows) {
      for (int c = 0; c < width.length; c++) {
        width[c] = Math.max(width[c], row.get(c).length());
      }
    }
    for (List<String> row : rows) {
      StringBuilder line = new StringBuilder();
      for (int c = 0; c < width.length; c++) {
        line.append(row.get(c)).append(" ".repeat(width[c] - row.get(c).length() + 2));
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
    if (total > rows.size() - 1) {
      text.append("... and ").append(total - rows.size() + 1).append(" more\n");
    }
    text.append('\n');
  }

  private static String bytes(long bytes) {
    String[] units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = bytes;
    int unit = 0;
    while (value >= 1024 && unit < units.length - 1) {
      value /= 1024;
      unit++;
    }
    return unit == 0 ? bytes + " B" : String.format(Locale.ROOT, "%.1f %s", value, units[unit]);
  }

  private static String seconds(double seconds) {
    if (seconds == 0) {
      return "0 s";
    }
    if (seconds < 1e-3) {
      return String.format(Locale.ROOT, "%.1f us", seconds * 1e6);
    }
    return seconds < 1
        ? String.format(Locale.ROOT, "%.2f ms", seconds * 1e3)
        : String.format(Locale.ROOT, "%.3f s", seconds);
  }
}
