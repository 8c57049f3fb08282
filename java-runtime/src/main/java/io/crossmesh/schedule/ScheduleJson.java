package io.crossmesh.schedule;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.mesh.JsonValue;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Requests, schedules and results as JSON.
 *
 * <pre>
 * request   {"v":1,"name":"1f1b","stages":4,"microbatches":16,"virtual":1,"inference":false,
 *            "memory":number or list or null,  and what a run has, or null where nothing needs it}
 * run       {"v":1,"forward":s,"backward":s,"weight":s or null,
 *            "transfer_forward":s,"transfer_backward":s,"overlap":true,"exchange":false,
 *            "half_duplex":false,"hosts":[..] or null,"activation":x,"residual":x,
 *            "skips":[[from,to,forward,backward],..], which may be left out}
 * schedule  {"v":1,"name":..,"stages":..,"microbatches":..,"virtual":..,"inference":..,"split":..,
 *            "ops":[["F0.0",..]..],"digest":".."}
 * </pre>
 *
 * where s and x are one number for all or a list; see {@link Timing} and {@link MemoryUse}.
 */
public final class ScheduleJson {
  private static final long VERSION = 1;
  private static final int SKIP_VALUES = 4;
  private static final Set<String> RUN =
      Set.of(
          "v",
          "forward",
          "backward",
          "weight",
          "transfer_forward",
          "transfer_backward",
          "overlap",
          "exchange",
          "half_duplex",
          "hosts",
          "activation",
          "residual",
          "skips");
  private static final Set<String> REQUEST =
      Set.of("v", "name", "stages", "microbatches", "virtual", "inference", "memory", "run");
  private static final Set<String> DOCUMENT =
      Set.of(
          "v", "name", "stages", "microbatches", "virtual", "inference", "split", "ops", "digest");

  private ScheduleJson() {}

  /** Makes the schedule that a request asks for. */
  public static Schedule make(String text) {
    JsonValue json = JsonValue.parse(text, "schedule");
    json.allow(REQUEST);
    json.get("v").integer(VERSION, VERSION);
    Family family = Family.of(json.get("name").text());
    PipelineShape shape = shape(json);
    Optional<JsonValue> run = json.find("run");
    MemoryUse use = run.map(r -> memoryUse(r, shape)).orElseGet(() -> MemoryUse.counting(shape));
    Budget budget =
        json.find("memory")
            .map(cap -> Budget.of(shape, series(cap), use))
            .orElseGet(() -> Budget.unlimited(shape, use));
    if (family == Family.ADAPTIVE) {
      JsonValue times =
          run.orElseThrow(
              () ->
                  Refusal.of(
                      "adaptive chooses by times; state forward, backward and transfer, and weight if weight gradients run apart."));
      return Adaptive.choose(timing(times, shape), network(times), budget);
    }
    Schedule schedule = FixedSchedules.of(family, shape);
    budget.require(schedule);
    return schedule;
  }

  /** Times a schedule as a run document says. */
  public static Simulation simulate(Schedule schedule, String text) {
    JsonValue run = JsonValue.parse(text, "run");
    PipelineShape shape = schedule.shape();
    return Simulator.simulate(schedule, timing(run, shape), network(run), memoryUse(run, shape));
  }

  /** The schedule that {@link #write} wrote, or that somebody else made; checked again. */
  public static Schedule read(String text) {
    JsonValue json = JsonValue.parse(text, "schedule");
    json.allow(DOCUMENT);
    json.get("v").integer(VERSION, VERSION);
    PipelineShape shape = shape(json);
    Family family = Family.of(json.get("name").text());
    boolean split = flag(json, "split");
    List<List<Op>> ops = new ArrayList<>();
    for (JsonValue stage : json.get("ops").items(PipelineShape.STAGES_MAX)) {
      ops.add(stage.items(PipelineShape.OPS_MAX).stream().map(op -> Op.parse(op.text())).toList());
    }
    ScheduleCheck.violation(family, shape, split, ops)
        .ifPresent(
            wrong -> {
              throw Refusal.of(
                  "These lists are no schedule: %s. Correct them, or ask for a schedule by name."
                      .formatted(wrong));
            });
    Schedule schedule = new Schedule(family, shape, split, ops);
    json.find("digest")
        .map(JsonValue::text)
        .filter(digest -> !digest.equals(schedule.digest()))
        .ifPresent(
            digest -> {
              throw Refusal.of(
                  "The digest of the document is not that of its lists, %s; one of them was changed. Ask for the schedule again."
                      .formatted(schedule.digest()));
            });
    return schedule;
  }

  /** The document of a schedule. */
  public static ObjectNode write(Schedule schedule) {
    ObjectNode json = summary(schedule).put("v", VERSION);
    ArrayNode ops = json.putArray("ops");
    for (int stage = 0; stage < schedule.shape().stages(); stage++) {
      ops.add(stage(schedule, stage));
    }
    return json;
  }

  /** The document without the lists. */
  public static ObjectNode summary(Schedule schedule) {
    PipelineShape shape = schedule.shape();
    return JsonNodeFactory.instance
        .objectNode()
        .put("name", schedule.family().id())
        .put("stages", shape.stages())
        .put("microbatches", shape.microbatches())
        .put("virtual", shape.virtual())
        .put("inference", shape.inference())
        .put("split", schedule.split())
        .put("digest", schedule.digest());
  }

  /** The list of one stage. */
  public static ArrayNode stage(Schedule schedule, int stage) {
    if (stage < 0 || stage >= schedule.shape().stages()) {
      throw Refusal.of(
          "There is no stage %d; the schedule has stages 0 to %d."
              .formatted(stage, schedule.shape().stages() - 1));
    }
    ArrayNode list = JsonNodeFactory.instance.arrayNode();
    schedule.stage(stage).forEach(op -> list.add(op.toString()));
    return list;
  }

  /** The numbers of a run. */
  public static ObjectNode write(Simulation result) {
    ObjectNode json = JsonNodeFactory.instance.objectNode().put("makespan", result.makespan());
    numbers(json.putArray("work"), result.work());
    numbers(json.putArray("bubbles"), result.bubbles());
    numbers(json.putArray("exposed"), result.exposed());
    ArrayNode activations = json.putArray("peak_activations");
    result.peakActivations().forEach(activations::add);
    numbers(json.putArray("peak_memory"), result.peakMemory());
    return json;
  }

  /**
   * Every operation and transfer of a run: arrays of {@code [stage, op, start, end]} and of {@code
   * [from, to, op, posted, start, end]}.
   */
  public static ObjectNode write(Timeline timeline) {
    ObjectNode json = JsonNodeFactory.instance.objectNode();
    ArrayNode spans = json.putArray("ops");
    for (Timeline.Span span : timeline.spans()) {
      spans
          .addArray()
          .add(span.stage())
          .add(span.op().toString())
          .add(span.start())
          .add(span.end());
    }
    ArrayNode transfers = json.putArray("transfers");
    for (Timeline.Transfer transfer : timeline.transfers()) {
      transfers
          .addArray()
          .add(transfer.from())
          .add(transfer.to())
          .add(transfer.op().toString())
          .add(transfer.posted())
          .add(transfer.start())
          .add(transfer.end());
    }
    return json;
  }

  private static void numbers(ArrayNode array, List<Double> values) {
    values.forEach(array::add);
  }

  private static PipelineShape shape(JsonValue json) {
    return new PipelineShape(
        size(json.get("stages")),
        size(json.get("microbatches")),
        size(json.get("virtual")),
        flag(json, "inference"));
  }

  /** What is out of range the shape refuses, with a message of its own. */
  private static int size(JsonValue json) {
    return (int) json.integer(Integer.MIN_VALUE, Integer.MAX_VALUE);
  }

  private static boolean flag(JsonValue json, String field) {
    JsonValue value = json.get(field);
    if (!value.node().isBoolean()) {
      throw value.refuse("true or false");
    }
    return value.node().booleanValue();
  }

  private static Timing timing(JsonValue run, PipelineShape shape) {
    run.allow(RUN);
    run.get("v").integer(VERSION, VERSION);
    Timing timing =
        Timing.of(
            shape,
            series(run.get("forward")),
            series(run.get("backward")),
            run.find("weight").map(ScheduleJson::series),
            series(run.get("transfer_forward")),
            series(run.get("transfer_backward")));
    return run.find("skips")
        .map(skips -> skips.items(SkipSeconds.SKIPS_MAX).stream().map(ScheduleJson::skip).toList())
        .map(timing::withSkips)
        .orElse(timing);
  }

  private static SkipSeconds skip(JsonValue json) {
    List<JsonValue> values = json.items(SKIP_VALUES);
    if (values.size() != SKIP_VALUES) {
      throw json.refuse("a skip as [from, to, seconds forward, seconds backward]");
    }
    return new SkipSeconds(
        size(values.get(0)), size(values.get(1)), number(values.get(2)), number(values.get(3)));
  }

  private static Network network(JsonValue run) {
    return new Network(
        flag(run, "overlap"),
        flag(run, "exchange"),
        flag(run, "half_duplex"),
        run.find("hosts").map(hosts -> hosts.texts(PipelineShape.STAGES_MAX)).orElse(List.of()));
  }

  private static MemoryUse memoryUse(JsonValue run, PipelineShape shape) {
    return MemoryUse.of(shape, series(run.get("activation")), series(run.get("residual")));
  }

  private static Series series(JsonValue json) {
    if (!json.node().isArray()) {
      return Series.of(number(json));
    }
    int most = PipelineShape.STAGES_MAX * PipelineShape.VIRTUAL_MAX;
    return Series.of(json.items(most).stream().map(ScheduleJson::number).toList());
  }

  private static double number(JsonValue json) {
    return json.number(-Double.MAX_VALUE, Double.MAX_VALUE);
  }
}
