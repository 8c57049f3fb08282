package io.crossmesh.plan;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.MeshJson;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.Topology;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;

/**
 * JSON of requests and plans, version 1. A plan is its request with more fields. Meshes and layouts
 * are written once and referred to by number.
 *
 * <pre>
 * request  {"v":1,"meshes":[mesh...],"layouts":[{"mesh":0,"spec":[[0],[],[1]]}...],
 *           "tensors":[{"key":"","shape":[..],"dtype":"int32","src":0,"dst":1,"deadline":s}...],
 *           "topology":topology|null,"strategy":"auto","order":"optimal"}
 * plan     + {"digest":..,"makespan":s,"lower_bound":s,"gap":g,"finish":[s...],
 *           "chosen":[{"strategy":"broadcast","chunk_bytes":n}...],
 *           "tasks":[{"tensor":0,"box":[[lo,hi]..],"senders":[..],"receivers":[..]}...],
 *           "moves":[{"tensor":0,"box":..,"bytes":n,"chunk_bytes":n,"start":s,"end":s,
 *                     "sender":i,"receivers":[..],"route":["a","c"]}...],
 *           "bytes_sent":{"a":n},"bytes_received":{"c":n}}
 * </pre>
 *
 * A tensor without "deadline" has none, and "finish", when each tensor has arrived, may be absent:
 * documents of before there were deadlines have neither.
 */
public final class PlanJson {
  /** Version of the documents. */
  public static final int VERSION = 1;

  /** Most meshes of one document. */
  public static final int MAX_MESHES = 4096;

  /** Most layouts of one document. */
  public static final int MAX_LAYOUTS = 2 * PlanRequest.MAX_TENSORS;

  private static final Set<String> REQUEST_FIELDS =
      Set.of("v", "meshes", "layouts", "tensors", "topology", "strategy", "order");

  private PlanJson() {}

  /** The document of a request. */
  public static String write(PlanRequest request) {
    return requestNode(request).toString();
  }

  /** The document of a plan. */
  public static String write(Plan plan) {
    ObjectNode node = requestNode(plan.request());
    node.put("digest", plan.digest());
    node.put("makespan", plan.makespan());
    node.put("lower_bound", plan.lowerBound());
    node.put("gap", plan.gap());
    plan.finish().forEach(node.putArray("finish")::add);
    ArrayNode chosen = node.putArray("chosen");
    for (Chosen choice : plan.chosen()) {
      chosen
          .addObject()
          .put("strategy", choice.strategy().id())
          .put("chunk_bytes", choice.chunkBytes());
    }
    ArrayNode tasks = node.putArray("tasks");
    for (UnitTask task : plan.tasks()) {
      ObjectNode object = tasks.addObject().put("tensor", task.tensor());
      object.set("box", MeshJson.write(task.box()));
      task.senders().forEach(object.putArray("senders")::add);
      task.receivers().forEach(object.putArray("receivers")::add);
    }
    ArrayNode moves = node.putArray("moves");
    for (Move move : plan.moves()) {
      ObjectNode object = moves.addObject().put("tensor", move.tensor());
      object.set("box", MeshJson.write(move.box()));
      object.put("bytes", move.bytes()).put("chunk_bytes", move.chunkBytes());
      object.put("start", move.start()).put("end", move.end()).put("sender", move.sender());
      move.receivers().forEach(object.putArray("receivers")::add);
      move.route().forEach(object.putArray("route")::add);
    }
    plan.bytesSent().forEach(node.putObject("bytes_sent")::put);
    plan.bytesReceived().forEach(node.putObject("bytes_received")::put);
    return node.toString();
  }

  private static ObjectNode requestNode(PlanRequest request) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("v", VERSION);
    LayoutTable table = LayoutTable.withAxisNames(request.tensors());
    ArrayNode meshes = node.putArray("meshes");
    table.meshes().forEach(mesh -> meshes.add(MeshJson.write(mesh)));
    ArrayNode layouts = node.putArray("layouts");
    for (Sharding layout : table.layouts()) {
      layouts.addObject().put("mesh", table.meshOf(layout)).set("spec", MeshJson.writeSpec(layout));
    }
    ArrayNode tensors = node.putArray("tensors");
    for (TensorReshard tensor : request.tensors()) {
      ObjectNode object =
          MeshJson.write(tensor.tensor())
              .put("src", table.layoutOf(tensor.src()))
              .put("dst", table.layoutOf(tensor.dst()));
      tensor.deadline().ifPresent(seconds -> object.put("deadline", seconds));
      tensors.add(object);
    }
    node.set("topology", MeshJson.write(request.topology()));
    return node.put("strategy", request.strategy().id()).put("order", request.order().id());
  }

  /**
   * Reads a request. An absent or null topology is {@link Topology#uniform} over all hosts of its
   * meshes; an absent strategy is "auto", an absent order "optimal".
   *
   * @throws io.crossmesh.CrossmeshException LAYOUT for anything that is not a valid request
   */
  public static PlanRequest readRequest(String json) {
    JsonValue root = JsonValue.parse(json, "request");
    root.allow(REQUEST_FIELDS);
    return request(root);
  }

  private static PlanRequest request(JsonValue root) {
    long version = root.get("v").integer(Long.MIN_VALUE, Long.MAX_VALUE);
    if (version != VERSION) {
      throw PlanChecks.layout(
          "%s is of version %d; this is crossmesh with version %d, install the same on all hosts."
              .formatted(root.path(), version, VERSION));
    }
    List<Mesh> meshes =
        root.get("meshes").items(MAX_MESHES).stream().map(MeshJson::readMesh).toList();
    List<Sharding> layouts = new ArrayList<>();
    for (JsonValue layout : root.get("layouts").items(MAX_LAYOUTS)) {
      layout.allow(Set.of("mesh", "spec"));
      layouts.add(MeshJson.readSpec(layout.get("spec"), pick(layout.get("mesh"), meshes)));
    }
    List<TensorReshard> tensors = new ArrayList<>();
    for (JsonValue tensor : root.get("tensors").items(PlanRequest.MAX_TENSORS)) {
      tensor.allow(Set.of("key", "shape", "dtype", "src", "dst", "deadline"));
      tensors.add(
          new TensorReshard(
              MeshJson.readTensor(tensor),
              pick(tensor.get("src"), layouts),
              pick(tensor.get("dst"), layouts),
              deadline(tensor)));
    }
    Strategy strategy =
        root.find("strategy").map(v -> Strategy.parse(v.text())).orElse(Strategy.AUTO);
    Order order = root.find("order").map(v -> Order.parse(v.text())).orElse(Order.OPTIMAL);
    Topology topology =
        root.find("topology")
            .map(MeshJson::readTopology)
            .orElseGet(() -> Topology.uniform(PlanRequest.hosts(tensors)));
    return new PlanRequest(tensors, topology, strategy, order);
  }

  private static OptionalDouble deadline(JsonValue tensor) {
    return tensor
        .find("deadline")
        .map(value -> OptionalDouble.of(value.number(0, Double.MAX_VALUE)))
        .orElse(OptionalDouble.empty());
  }

  private static <T> T pick(JsonValue index, List<T> from) {
    if (from.isEmpty()) {
      throw index.refuse("absent, as there is nothing to refer to");
    }
    return from.get((int) index.integer(0, from.size() - 1L));
  }

  /**
   * Reads a plan. Nothing of the document is believed: its moves are proven again, and what follows
   * from request and moves is computed again and must be what the document says.
   *
   * @throws io.crossmesh.CrossmeshException LAYOUT for anything that is not a valid plan
   */
  public static Plan readPlan(String json) {
    JsonValue root = JsonValue.parse(json, "plan");
    Set<String> fields = new HashSet<>(REQUEST_FIELDS);
    fields.addAll(Set.of("digest", "makespan", "lower_bound", "gap", "chosen", "tasks", "moves"));
    fields.addAll(Set.of("finish", "bytes_sent", "bytes_received"));
    root.allow(fields);
    PlanRequest request = request(root);
    List<Chosen> chosen = chosen(root.get("chosen"), request);
    List<Move> moves = new ArrayList<>();
    for (JsonValue move : root.get("moves").items(Plan.MAX_MOVES)) {
      moves.add(move(move, request));
    }
    Optional<String> fault = CoverageProof.fault(request.tensors(), moves);
    if (fault.isPresent()) {
      throw PlanChecks.layout(
          "The plan does not reshard what it says: %s. Plan it again.".formatted(fault.get()));
    }
    Network network = new Network(request.topology(), request.hosts());
    List<Cell> cells =
        Decomposition.of(request.tensors(), network).stream().flatMap(List::stream).toList();
    Plan plan = Planner.assemble(request, LowerBound.of(cells, network), cells, chosen, moves);
    PlanClaims.check(root, plan);
    return plan;
  }

  private static List<Chosen> chosen(JsonValue value, PlanRequest request) {
    List<Chosen> chosen = new ArrayList<>();
    for (JsonValue choice : value.items(PlanRequest.MAX_TENSORS)) {
      choice.allow(Set.of("strategy", "chunk_bytes"));
      Strategy strategy = Strategy.parse(choice.get("strategy").text());
      if (strategy == Strategy.AUTO) {
        throw choice.get("strategy").refuse("what auto settled on");
      }
      long chunk =
          choice.get("chunk_bytes").integer(Chosen.MIN_CHUNK_BYTES, Chosen.MAX_CHUNK_BYTES);
      chosen.add(new Chosen(strategy, chunk));
    }
    if (chosen.size() != request.tensors().size()) {
      throw value.refuse("an array of one item for each tensor");
    }
    return chosen;
  }

  private static Move move(JsonValue value, PlanRequest request) {
    value.allow(
        Set.of(
            "tensor",
            "box",
            "bytes",
            "chunk_bytes",
            "start",
            "end",
            "sender",
            "receivers",
            "route"));
    TensorReshard tensor = pick(value.get("tensor"), request.tensors());
    int destinations = tensor.dst().mesh().size();
    return new Move(
        (int) value.get("tensor").integer(0, Integer.MAX_VALUE),
        MeshJson.readBox(value.get("box")),
        value.get("bytes").integer(1, Long.MAX_VALUE),
        value.get("chunk_bytes").integer(1, Chosen.MAX_CHUNK_BYTES),
        value.get("start").number(0, Double.MAX_VALUE),
        value.get("end").number(0, Double.MAX_VALUE),
        (int) value.get("sender").integer(0, tensor.src().mesh().size() - 1L),
        value.get("receivers").indices(destinations, destinations - 1),
        value.get("route").texts(request.hosts().size()));
  }
}
