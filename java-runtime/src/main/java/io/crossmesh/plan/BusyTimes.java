package io.crossmesh.plan;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.mesh.Limit;
import java.util.Arrays;
import java.util.List;

/**
 * When each NIC direction and each shared limit is busy, and with which move: the predicted
 * timeline of a plan for pictures and traces. A resource serves one chunk at a time, so its
 * intervals do not overlap; neighbouring chunks of one move are one interval.
 *
 * <pre>
 * {"resources":[{"hosts":["a"],"limit":false,"direction":"out|in"}..],
 *  "resource":[0,..],"move":[0,..],"start":[s,..],"end":[s,..]}
 * </pre>
 */
public final class BusyTimes {
  /** Gaps shorter than this part of the time since the start are rounding. */
  private static final double SAME = 1e-12;

  private static final int FIRST_CAPACITY = 1024;

  private final int[] last;
  private int count;
  private int[] resources = new int[FIRST_CAPACITY];
  private int[] moves = new int[FIRST_CAPACITY];
  private double[] starts = new double[FIRST_CAPACITY];
  private double[] ends = new double[FIRST_CAPACITY];

  private BusyTimes(int resourceCount) {
    last = new int[resourceCount];
    Arrays.fill(last, -1);
  }

  /** The busy times of a plan's moves, by their order. */
  public static ObjectNode of(Plan plan) {
    Network network = new Network(plan.request().topology(), plan.request().hosts());
    BusyTimes times = new BusyTimes(network.resources());
    Timeline.predict(plan.moves(), network, times::add);
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    names(node.putArray("resources"), plan, network);
    times.write(node);
    return node;
  }

  private static void names(ArrayNode array, Plan plan, Network network) {
    List<Limit> limits = plan.request().topology().limits();
    for (int resource = 0; resource < network.resources(); resource++) {
      int owner = resource / 2;
      boolean limit = owner >= network.size();
      ObjectNode node = array.addObject();
      (limit ? limits.get(owner - network.size()).hosts() : List.of(network.name(owner)))
          .forEach(node.putArray("hosts")::add);
      node.put("limit", limit).put("direction", resource % 2 == 0 ? "out" : "in");
    }
  }

  private void add(int resource, int move, double from, double to) {
    int previous = last[resource];
    if (previous >= 0 && moves[previous] == move && from <= ends[previous] * (1 + SAME)) {
      ends[previous] = to;
      return;
    }
    if (count == resources.length) {
      int capacity = 2 * count;
      resources = Arrays.copyOf(resources, capacity);
      moves = Arrays.copyOf(moves, capacity);
      starts = Arrays.copyOf(starts, capacity);
      ends = Arrays.copyOf(ends, capacity);
    }
    last[resource] = count;
    resources[count] = resource;
    moves[count] = move;
    starts[count] = from;
    ends[count] = to;
    count++;
  }

  private void write(ObjectNode node) {
    ArrayNode resource = node.putArray("resource");
    ArrayNode move = node.putArray("move");
    ArrayNode start = node.putArray("start");
    ArrayNode end = node.putArray("end");
    for (int i = 0; i < count; i++) {
      resource.add(resources[i]);
      move.add(moves[i]);
      start.add(starts[i]);
      end.add(ends[i]);
    }
  }
}
