package io.crossmesh.flight;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.fuzz.FuzzTarget;
import io.crossmesh.fuzz.FuzzTargets;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.apache.arrow.flight.FlightDescriptor;

/** Tickets, descriptors and actions, at the service behind the Flight door. */
public final class FlightTargets implements FuzzTargets {
  /** A service may say anything but that it does not know what happened. */
  private static final Set<Code> REFUSALS =
      EnumSet.complementOf(EnumSet.of(Code.INTERNAL, Code.AUTH));

  private static final TensorMeta META =
      new TensorMeta(
          new TensorSpec("w", List.of(8L, 6L), DType.of("float32")),
          Sharding.parse(Mesh.ofHosts(List.of(2), List.of("a")), "S0 R"));

  @Override
  public List<FuzzTarget> open(Path directory) {
    FuzzedService service = new FuzzedService(directory, META);
    Box part = Box.of(new long[] {0, 1}, new long[] {4, 5});
    return List.of(
        target(
            "ticket",
            List.of(
                text(Requests.ticket("w", part, true)), text(Requests.ticket("w", part, false))),
            service::get),
        target(
            "descriptor",
            List.of(Requests.versioned().put("tensor", "w").toString()),
            input -> service.info(FlightDescriptor.command(input))),
        target(
            "descriptor of a tile",
            List.of(META.write().put("device", 0).toString()),
            service::readTile),
        target(
            "action hello", List.of(text(Requests.write(Hello.request()))), service.does("hello")),
        target("action reshard", List.of(reshard()), service.does(Actions.RESHARD)),
        target("action take part", List.of(takePart()), service.does(Actions.TAKE_PART)),
        target("action cancel", List.of(ending()), service.does(Actions.CANCEL)),
        target("action give up", List.of(ending()), service.does(Actions.GIVE_UP)),
        target(
            "action drop",
            List.of(Requests.versioned().put("tensor", "none").toString()),
            service.does(Actions.DROP)),
        new FuzzTarget(
            "action describe",
            true,
            List.of(Requests.versioned().put("tensor", "w").toString().getBytes(UTF_8)),
            REFUSALS,
            FuzzTarget.ALLOCATED_MAX,
            service.does(Actions.DESCRIBE),
            service::close));
  }

  private static FuzzTarget target(String name, List<String> valid, FuzzTarget.Reader reader) {
    return new FuzzTarget(
        name,
        true,
        valid.stream().map(t -> t.getBytes(UTF_8)).toList(),
        REFUSALS,
        FuzzTarget.ALLOCATED_MAX,
        reader,
        () -> {});
  }

  private static String reshard() {
    ObjectNode json =
        Requests.versioned()
            .put("tensor", "w")
            .put("to", "x")
            .put("strategy", "broadcast")
            .put("order", "size")
            .put("timeout", 1.5)
            .put("id", "one");
    json.set(
        "layout", Layouts.write(Sharding.parse(Mesh.ofHosts(List.of(1), List.of("a")), "R R")));
    return json.toString();
  }

  private static String takePart() {
    ReshardOrder order =
        ReshardOrder.fromClient(JsonValue.parse(reshard(), "request"), "one", META);
    return order.forAgents().toString();
  }

  private static String ending() {
    return Requests.versioned().put("id", "one").put("reason", "enough").toString();
  }

  private static String text(byte[] document) {
    return new String(document, UTF_8);
  }
}
