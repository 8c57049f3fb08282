package io.crossmesh.table;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.Plan;
import io.crossmesh.plan.UnitTask;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiConsumer;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowFileWriter;
import org.apache.arrow.vector.types.pojo.Schema;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Moves and unit tasks of plans as Arrow files, which clients map: a quarter of a million moves are
 * 50 MB of JSON, and most are never looked at. A file is written when it is first asked for and
 * removed with its plan; who has mapped it by then reads on.
 *
 * <p>Columns have the names of the components of {@link Move} and {@link UnitTask}. A box is a list
 * {@code lo, hi, lo, hi...}; a route lists positions in the hosts of {@link Plan#bytesSent}.
 */
public final class PlanTables {
  /** Rows of a record batch: all that is held in memory beside the plan while a file is written. */
  static final int BATCH_ROWS = 1 << 14;

  private static final Logger LOG = LoggerFactory.getLogger(PlanTables.class);

  private static final Schema MOVES =
      new TableColumns.Fields()
          .number("tensor")
          .box("box")
          .large("bytes")
          .large("chunk_bytes")
          .seconds("start")
          .seconds("end")
          .number("sender")
          .numbers("receivers")
          .numbers("route")
          .schema();

  private static final Schema TASKS =
      new TableColumns.Fields()
          .number("tensor")
          .box("box")
          .numbers("senders")
          .numbers("receivers")
          .schema();

  private final Path directory;

  /** Tables of one process in a directory that only its user can read. */
  public PlanTables(Path directory) {
    this.directory = directory;
  }

  /** The file of a plan's moves. */
  public Path moves(long id, Plan plan) {
    Map<String, Integer> hosts = new HashMap<>();
    plan.bytesSent().keySet().forEach(host -> hosts.put(host, hosts.size()));
    return table(
        file(id, "moves"),
        MOVES,
        plan.moves(),
        (row, move) ->
            row.number(move.tensor())
                .box(move.box())
                .large(move.bytes())
                .large(move.chunkBytes())
                .seconds(move.start())
                .seconds(move.end())
                .number(move.sender())
                .numbers(move.receivers())
                .numbers(move.route().stream().map(hosts::get).toList()));
  }

  /** The file of a plan's unit tasks. */
  public Path tasks(long id, Plan plan) {
    return table(
        file(id, "tasks"),
        TASKS,
        plan.tasks(),
        (row, task) ->
            row.number(task.tensor())
                .box(task.box())
                .numbers(task.senders())
                .numbers(task.receivers()));
  }

  /** Removes what was written of a plan. */
  public synchronized void remove(long id) {
    for (String table : List.of("moves", "tasks")) {
      delete(file(id, table));
    }
  }

  private Path file(long id, String table) {
    return directory.resolve("plan-%d-%s.arrow".formatted(id, table));
  }

  private synchronized <T> Path table(
      Path file, Schema schema, List<T> rows, BiConsumer<TableColumns.Row, T> write) {
    if (!Files.exists(file)) {
      try {
        writeRows(file, schema, rows, write);
      } catch (IOException e) {
        delete(file);
        throw new CrossmeshException(
            Code.INTERNAL,
            "the plan's table %s cannot be written (%s); make room in %s."
                .formatted(file.getFileName(), e, directory),
            e);
      }
    }
    return file;
  }

  private static <T> void writeRows(
      Path file, Schema schema, List<T> rows, BiConsumer<TableColumns.Row, T> write)
      throws IOException {
    var mode = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));
    try (FileChannel out =
            FileChannel.open(
                file, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE), mode);
        RootAllocator allocator = new RootAllocator();
        VectorSchemaRoot root = VectorSchemaRoot.create(schema, allocator);
        ArrowFileWriter writer = new ArrowFileWriter(root, null, out)) {
      writer.start();
      for (int from = 0; from < rows.size(); from += BATCH_ROWS) {
        List<T> batch = rows.subList(from, Math.min(rows.size(), from + BATCH_ROWS));
        root.clear();
        TableColumns.Row row = new TableColumns.Row(root);
        for (T each : batch) {
          write.accept(row.next(), each);
        }
        root.setRowCount(batch.size());
        writer.writeBatch();
      }
      writer.end();
    }
  }

  private static void delete(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      LOG.warn("cannot remove {}: {}; it goes with the directory", file, e.toString());
    }
  }
}
