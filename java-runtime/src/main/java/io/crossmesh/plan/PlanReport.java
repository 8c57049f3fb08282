package io.crossmesh.plan;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Limit;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Nic;
import io.crossmesh.mesh.Sharding;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * The numbers of a page about a plan, for whoever lays the page out. Tables are cut: each says how
 * many rows there are and gives the first. Only of hosts it gives the busiest, if not all.
 *
 * <pre>
 * {"digest","strategy","order","makespan":s,"lower_bound":s,"gap":g,"bytes":n over NICs,
 *  "bound":{"kind":"none|ingress|egress|entering|leaving","hosts","bytes","bandwidth":bytes/s},
 *  "tensors":{"total":n,"rows":[{"key","shape":[..],"dtype","bytes","src":layout,"dst":layout,
 *             "arrives":s,"deadline":s if it has one,"strategy","chunk_bytes","candidates":[
 *               {"strategy","chunk_bytes","seconds","considered":true if the choice was made from it}..]}..]},
 *  "tasks":{"total":n,"rows":[{"tensor":key,"slice","bytes","holders","holder_hosts",
 *           "receivers","receiver_hosts"}..]},
 *  "moves":{"total":n,"rows":[{"tensor":key,"slice","bytes","chunks","sender","receivers",
 *           "start":s,"end":s,"route":[first hosts],"hops":n}..]},
 *  "hosts":{"total":n,"rows":[{"host","nics","bandwidth","latency","sent","received"}..]},
 *  "limits":{"total":n,"rows":[{"hosts","bandwidth","left","entered"}..]}}
 * layout  {"spec":"S0 R","mesh":[2,4],"hosts","host_count"}
 * </pre>
 *
 * <p>Devices and hosts of a row are text, as in "0, 1, 2 and 61 more".
 */
public final class PlanReport {
  /** Most rows of a table that can be asked for. */
  public static final int MAX_ROWS = 1000;

  private static final int LISTED = 8;
  private static final JsonNodeFactory JSON = JsonNodeFactory.instance;

  private final Plan plan;
  private final Network network;
  private final List<Double> finish;
  private final int rows;

  private PlanReport(Plan plan, int rows) {
    this.plan = plan;
    this.rows = rows;
    finish = plan.finish();
    network = new Network(plan.request().topology(), plan.request().hosts());
  }

  /**
   * The report of a plan.
   *
   * @param rows of each table, 1 to {@link #MAX_ROWS}
   */
  public static ObjectNode of(Plan plan, int rows) {
    return new PlanReport(plan, Math.clamp(rows, 1, MAX_ROWS)).write();
  }

  private ObjectNode write() {
    List<List<Cell>> cells = Decomposition.of(plan.request().tensors(), network);
    ObjectNode node =
        JSON.objectNode()
            .put("digest", plan.digest())
            .put("strategy", plan.request().strategy().id())
            .put("order", plan.request().order().id())
            .put("makespan", plan.makespan())
            .put("lower_bound", plan.lowerBound())
            .put("gap", plan.gap())
            .put("bytes", plan.bytesSent().values().stream().mapToLong(Long::longValue).sum());
    node.set("bound", bound(cells));
    node.set("tensors", table(plan.chosen(), (i, chosen) -> tensor(i, chosen, cells.get(i))));
    node.set("tasks", table(plan.tasks(), (i, task) -> task(task)));
    node.set("moves", table(plan.moves(), (i, move) -> move(move)));
    node.set("hosts", table(hosts(), (i, host) -> host(host)));
    node.set("limits", table(plan.request().topology().limits(), this::limit));
    return node;
  }

  private interface Row<T> {
    ObjectNode of(int index, T value);
  }

  private <T> ObjectNode table(List<T> values, Row<T> row) {
    ObjectNode node = JSON.objectNode().put("total", values.size());
    ArrayNode array = node.putArray("rows");
    for (int i = 0; i < values.size() && i < rows; i++) {
      array.add(row.of(i, values.get(i)));
    }
    return node;
  }

  private ObjectNode bound(List<List<Cell>> cells) {
    LowerBound.Bound bound =
        LowerBound.find(cells.stream().flatMap(List::stream).toList(), network);
    return JSON.objectNode()
        .put("kind", bound.kind().name().toLowerCase(Locale.ROOT))
        .put("hosts", brief(bound.hosts(), network::name))
        .put("bytes", bound.bytes())
        .put("bandwidth", bound.seconds() == 0 ? 0 : bound.bytes() / bound.seconds());
  }

  private ObjectNode tensor(int index, Chosen chosen, List<Cell> cells) {
    TensorReshard reshard = plan.request().tensors().get(index);
    ObjectNode node =
        JSON.objectNode()
            .put("key", reshard.tensor().key())
            .put("dtype", reshard.tensor().dtype().name())
            .put("bytes", reshard.tensor().bytes());
    reshard.tensor().shape().forEach(node.putArray("shape")::add);
    node.put("arrives", finish.get(index));
    reshard.deadline().ifPresent(seconds -> node.put("deadline", seconds));
    node.set("src", layout(reshard.src()));
    node.set("dst", layout(reshard.dst()));
    node.put("strategy", chosen.strategy().id()).put("chunk_bytes", chosen.chunkBytes());
    Order order = plan.request().order();
    List<CostModel.Candidate> looked =
        CostModel.lookedAt(cells, plan.request().strategy(), network, order);
    ArrayNode candidates = node.putArray("candidates");
    for (Strategy strategy : Strategy.concrete()) {
      Optional<CostModel.Candidate> known =
          looked.stream().filter(candidate -> candidate.strategy() == strategy).findFirst();
      if (known.isEmpty() && CostModel.isTooMany(cells, strategy)) {
        continue;
      }
      CostModel.Candidate candidate =
          known.orElseGet(() -> CostModel.candidate(cells, strategy, network, order));
      candidates
          .addObject()
          .put("strategy", strategy.id())
          .put("chunk_bytes", candidate.chunkBytes())
          .put("seconds", candidate.seconds())
          .put("considered", known.isPresent());
    }
    return node;
  }

  private static ObjectNode layout(Sharding sharding) {
    Mesh mesh = sharding.mesh();
    ObjectNode node = JSON.objectNode().put("spec", sharding.toString());
    mesh.shape().forEach(node.putArray("mesh")::add);
    List<String> hosts = mesh.hosts();
    return node.put("hosts", brief(hosts, Function.identity())).put("host_count", hosts.size());
  }

  private ObjectNode task(UnitTask task) {
    TensorReshard tensor = plan.request().tensors().get(task.tensor());
    return JSON.objectNode()
        .put("tensor", tensor.tensor().key())
        .put("slice", slice(task.box(), tensor))
        .put("bytes", task.box().volume() * tensor.tensor().dtype().bytes())
        .put("holders", brief(task.senders(), String::valueOf))
        .put("holder_hosts", hostsOf(tensor.src().mesh(), task.senders()))
        .put("receivers", brief(task.receivers(), String::valueOf))
        .put("receiver_hosts", hostsOf(tensor.dst().mesh(), task.receivers()));
  }

  /** As in "[0:512, :]", where all of a dimension is a colon. */
  private static String slice(Box box, TensorReshard tensor) {
    List<Long> shape = tensor.tensor().shape();
    return IntStream.range(0, box.rank())
        .mapToObj(d -> box.extent(d) == shape.get(d) ? ":" : box.lo(d) + ":" + box.hi(d))
        .collect(Collectors.joining(", ", "[", "]"));
  }

  private static String hostsOf(Mesh mesh, List<Integer> devices) {
    return brief(devices.stream().map(mesh::hostOf).distinct().toList(), Function.identity());
  }

  private ObjectNode move(Move move) {
    TensorReshard tensor = plan.request().tensors().get(move.tensor());
    ObjectNode node =
        JSON.objectNode()
            .put("tensor", tensor.tensor().key())
            .put("slice", slice(move.box(), tensor))
            .put("bytes", move.bytes())
            .put("chunks", move.chunks())
            .put("sender", move.sender())
            .put("receivers", brief(move.receivers(), String::valueOf))
            .put("start", move.start())
            .put("end", move.end());
    move.route().stream().limit(LISTED).forEach(node.putArray("route")::add);
    return node.put("hops", move.route().size() - 1);
  }

  private List<String> hosts() {
    List<String> hosts = List.copyOf(plan.bytesSent().keySet());
    return hosts.size() <= rows
        ? hosts
        : hosts.stream().sorted(Comparator.comparingDouble(this::busy).reversed()).toList();
  }

  private double busy(String host) {
    return Math.max(sent(host), received(host)) / plan.request().topology().bandwidth(host);
  }

  private long sent(String host) {
    return plan.bytesSent().getOrDefault(host, 0L);
  }

  private long received(String host) {
    return plan.bytesReceived().getOrDefault(host, 0L);
  }

  private ObjectNode host(String host) {
    List<Nic> nics = plan.request().topology().hosts().getOrDefault(host, List.of());
    return JSON.objectNode()
        .put("host", host)
        .put("nics", nics.size())
        .put("bandwidth", plan.request().topology().bandwidth(host))
        .put("latency", plan.request().topology().latency(host))
        .put("sent", sent(host))
        .put("received", received(host));
  }

  private ObjectNode limit(int group, Limit limit) {
    long left = 0;
    long entered = 0;
    for (Move move : plan.moves()) {
      for (int hop = 0; hop < move.route().size() - 1; hop++) {
        boolean from = network.inGroup(group, network.id(move.route().get(hop)));
        boolean to = network.inGroup(group, network.id(move.route().get(hop + 1)));
        left += from && !to ? move.bytes() : 0;
        entered += !from && to ? move.bytes() : 0;
      }
    }
    return JSON.objectNode()
        .put("hosts", brief(limit.hosts(), Function.identity()))
        .put("bandwidth", limit.bandwidth())
        .put("left", left)
        .put("entered", entered);
  }

  private static <T> String brief(List<T> items, Function<T, String> text) {
    String shown = items.stream().limit(LISTED).map(text).collect(Collectors.joining(", "));
    return items.size() <= LISTED ? shown : shown + " and " + (items.size() - LISTED) + " more";
  }
}
