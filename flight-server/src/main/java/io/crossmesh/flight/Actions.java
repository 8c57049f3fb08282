package io.crossmesh.flight;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.mesh.JsonValue;
import java.util.List;
import java.util.function.Supplier;
import org.apache.arrow.flight.ActionType;

/** The actions of the Flight door, by name: one JSON document in, one out. */
final class Actions {
  static final String HELLO = "hello";
  static final String HEALTH = "health";
  static final String STATUS = "status";
  static final String RESHARD = "reshard";
  static final String CANCEL = "cancel";
  static final String DROP = "drop";

  /** Between agents: which tensors have a tile there. */
  static final String DESCRIBE = "agent.describe";

  /** Between agents: take part in a reshard. */
  static final String TAKE_PART = "agent.take-part";

  /** Between agents: end one's part in a reshard. */
  static final String GIVE_UP = "agent.give-up";

  /** Between agents: drop one's own tiles. */
  static final String DROP_HERE = "agent.drop";

  static final List<ActionType> PUBLIC =
      List.of(
          new ActionType(HELLO, "Who this agent is: name, epoch, protocol version, transport."),
          new ActionType(
              HEALTH,
              "Whether this agent works, and its clock in Unix seconds: {\"v\":1,\"ok\":true,\"time\":..}."),
          new ActionType(STATUS, "Peers, channels, traffic, arena and tensors in numbers."),
          new ActionType(RESHARD, "Lay a tensor out anew: tensor, to, layout, timeout."),
          new ActionType(CANCEL, "End a reshard for all hosts: id."),
          new ActionType(DROP, "Forget a tensor on all hosts: tensor."));

  private static final double MILLIS_PER_SECOND = 1000;

  private final Supplier<Hello> hello;
  private final Askers askers;
  private final Supplier<ObjectNode> status;
  private final TensorStore store;
  private final Catalog catalog;
  private final Reshards reshards;

  Actions(
      Supplier<Hello> hello,
      Askers askers,
      Supplier<ObjectNode> status,
      TensorStore store,
      Catalog catalog,
      Reshards reshards) {
    this.hello = hello;
    this.askers = askers;
    this.status = status;
    this.store = store;
    this.catalog = catalog;
    this.reshards = reshards;
  }

  /** Answers; a body may be empty where nothing has to be said. */
  ObjectNode answer(String type, byte[] body) {
    JsonValue request =
        body.length == 0
            ? new JsonValue(Requests.versioned(), "request")
            : Requests.read("request", body);
    return switch (type) {
      case HELLO -> hello(request);
      case HEALTH ->
          Requests.versioned()
              .put("ok", true)
              .put("time", System.currentTimeMillis() / MILLIS_PER_SECOND);
      case STATUS -> status();
      case RESHARD -> reshards.reshard(request);
      case CANCEL -> reshards.cancel(request);
      case DROP -> reshards.drop(request.get("tensor").text());
      case DESCRIBE -> catalog.describe(request.find("tensor").map(JsonValue::text));
      case TAKE_PART -> reshards.takePart(request);
      case GIVE_UP -> reshards.giveUp(request);
      case DROP_HERE ->
          Requests.versioned().put("dropped", store.drop(request.get("tensor").text()));
      default ->
          throw org.apache.arrow.flight.CallStatus.UNIMPLEMENTED
              .withDescription(
                  "there is no action '%s'; ListActions names those there are."
                      .formatted(type.length() > 64 ? type.substring(0, 64) : type))
              .toRuntimeException();
    };
  }

  private ObjectNode hello(JsonValue request) {
    if (request.find("protocol").isPresent()) {
      Hello.checkProtocol(request, "the caller");
    }
    ObjectNode answer = hello.get().answer();
    request
        .find("from")
        .map(Askers.Asker::read)
        .flatMap(askers::asked)
        .ifPresent(trouble -> answer.put("trouble", trouble));
    return answer;
  }

  private ObjectNode status() {
    ObjectNode json = Requests.versioned();
    json.setAll(status.get());
    var tensors = json.putArray("tensors");
    store
        .list()
        .forEach(
            meta ->
                tensors
                    .addObject()
                    .put("tensor", meta.name())
                    .put("tiles", store.boxes(meta.name()).size()));
    json.set("reshards", reshards.status());
    return json;
  }
}
