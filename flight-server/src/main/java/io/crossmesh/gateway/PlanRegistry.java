package io.crossmesh.gateway;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.json.Json;
import io.crossmesh.plan.Chosen;
import io.crossmesh.plan.Move;
import io.crossmesh.plan.Plan;
import io.crossmesh.table.PlanTables;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * Plans that clients refer to by number. A client releases what it no longer reads; the limit stops
 * one that forgets to, before the heap does.
 */
final class PlanRegistry {
  static final int PLANS_MAX = 16_384;

  private final Map<Long, Plan> plans = new HashMap<>();
  private final PlanTables tables;
  private long last;

  PlanRegistry(PlanTables tables) {
    this.tables = tables;
  }

  synchronized long add(Plan plan) {
    if (plans.size() >= PLANS_MAX) {
      throw new CrossmeshException(
          Code.INTERNAL,
          "%d plans are held by clients of this process; drop references to plans that are no longer read."
              .formatted(PLANS_MAX));
    }
    plans.put(++last, plan);
    return last;
  }

  synchronized Plan get(long id) {
    Plan plan = plans.get(id);
    if (plan == null) {
      throw new CrossmeshException(
          Code.INTERNAL,
          "plan %d is not held here; it was released, or made by another process.".formatted(id));
    }
    return plan;
  }

  /** The file with the moves of a plan. */
  Path moves(long id) {
    return whileHeld(id, tables.moves(id, get(id)));
  }

  /** The file with the unit tasks of a plan. */
  Path tasks(long id) {
    return whileHeld(id, tables.tasks(id, get(id)));
  }

  void release(long id) {
    synchronized (this) {
      plans.remove(id);
    }
    tables.remove(id);
  }

  /** A plan that was released while its table was written takes the table with it. */
  private Path whileHeld(long id, Path table) {
    try {
      get(id);
      return table;
    } catch (CrossmeshException e) {
      tables.remove(id);
      throw e;
    }
  }

  synchronized int size() {
    return plans.size();
  }

  /** The small part of a plan, which travels at once; {@code chunks} counts those of all moves. */
  static ObjectNode summary(long id, Plan plan) {
    long[] chunks = new long[plan.chosen().size()];
    for (Move move : plan.moves()) {
      chunks[move.tensor()] += move.chunks();
    }
    ObjectNode json =
        Json.object()
            .put("id", id)
            .put("digest", plan.digest())
            .put("makespan", plan.makespan())
            .put("lower_bound", plan.lowerBound())
            .put("gap", plan.gap())
            .put("tasks", plan.tasks().size())
            .put("moves", plan.moves().size());
    plan.finish().forEach(json.putArray("finish")::add);
    var chosen = json.putArray("chosen");
    for (int tensor = 0; tensor < chunks.length; tensor++) {
      Chosen choice = plan.chosen().get(tensor);
      chosen
          .addObject()
          .put("strategy", choice.strategy().id())
          .put("chunk_bytes", choice.chunkBytes())
          .put("chunks", chunks[tensor]);
    }
    ObjectNode sent = json.putObject("bytes_sent");
    plan.bytesSent().forEach(sent::put);
    ObjectNode received = json.putObject("bytes_received");
    plan.bytesReceived().forEach(received::put);
    return json;
  }
}
