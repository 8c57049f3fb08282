package io.crossmesh.transfer;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.MeshJson;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.plan.Order;
import io.crossmesh.plan.PlanRequest;
import io.crossmesh.plan.Strategy;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The payloads of control messages: JSON. What is read is not believed: every reader refuses with
 * {@link io.crossmesh.CrossmeshException} what is not well-formed.
 */
final class ControlCodec {
  private static final int MESSAGE_CHARS_MAX = 2000;
  private static final int LAYOUTS_MAX = 4096;
  private static final int CLAIMS_MAX = 1 << 16;
  private static final int DIGESTS_MAX = 1 << 20;

  private ControlCodec() {}

  /**
   * A claim that is void, and why.
   *
   * @param together claims that fail with it for the same reason
   */
  record Withdrawal(long number, String name, Failure failure, List<Claim.Id> together) {}

  /** A chunk of a step: the index of its move in the plan, and its own in the move. */
  record Chunk(int move, int chunk) {}

  static byte[] chunk(Chunk chunk) {
    return bytes(object().put("move", chunk.move).put("chunk", chunk.chunk));
  }

  static Chunk readChunk(byte[] payload) {
    JsonValue root = parse(payload, "chunk");
    return new Chunk(
        (int) root.get("move").integer(0, Integer.MAX_VALUE),
        (int) root.get("chunk").integer(0, Integer.MAX_VALUE));
  }

  /** The digest of what a move brings. */
  record Digest(int move, long digest) {}

  static byte[] digests(List<Digest> digests) {
    ObjectNode node = object();
    ArrayNode all = node.putArray("digests");
    digests.forEach(d -> all.addObject().put("move", d.move).put("digest", d.digest));
    return bytes(node);
  }

  static List<Digest> readDigests(byte[] payload) {
    return parse(payload, "digests").get("digests").items(DIGESTS_MAX).stream()
        .map(
            d ->
                new Digest(
                    (int) d.get("move").integer(0, Integer.MAX_VALUE),
                    d.get("digest").integer(Long.MIN_VALUE, Long.MAX_VALUE)))
        .toList();
  }

  /** A host that is lost, and how that was noticed. */
  record Loss(String host, String reason) {}

  static byte[] loss(Loss loss) {
    return bytes(object().put("host", loss.host).put("reason", shortened(loss.reason)));
  }

  static Loss readLoss(byte[] payload) {
    JsonValue root = parse(payload, "loss");
    return new Loss(root.get("host").text(), root.get("reason").text());
  }

  /**
   * Who greets.
   *
   * @param pass what the peer's messages about no channel must show
   */
  record Hello(String host, long pass) {}

  static byte[] hello(Hello hello) {
    return bytes(object().put("host", hello.host).put("pass", hello.pass));
  }

  static Hello readHello(byte[] payload) {
    JsonValue root = parse(payload, "greeting");
    return new Hello(root.get("host").text(), pass(root));
  }

  /**
   * The digest of a plan.
   *
   * @param pass what the other host's messages about the channel must show
   */
  record Ready(String digest, long pass) {}

  static byte[] ready(Ready ready) {
    return bytes(object().put("digest", ready.digest).put("pass", ready.pass));
  }

  static Ready readReady(byte[] payload) {
    JsonValue root = parse(payload, "digest");
    return new Ready(root.get("digest").text(), pass(root));
  }

  private static long pass(JsonValue root) {
    return root.get("pass").integer(Long.MIN_VALUE, Long.MAX_VALUE);
  }

  static byte[] number(long number) {
    return bytes(object().put("number", number));
  }

  static long readNumber(byte[] payload) {
    return parse(payload, "closing").get("number").integer(0, Long.MAX_VALUE);
  }

  static byte[] failure(Failure failure) {
    return bytes(put(object(), failure));
  }

  static Failure readFailure(byte[] payload) {
    return failure(parse(payload, "failure"));
  }

  static byte[] withdrawal(Withdrawal withdrawal) {
    ObjectNode node = object().put("number", withdrawal.number).put("name", withdrawal.name);
    ArrayNode together = node.putArray("together");
    withdrawal.together.forEach(
        id -> together.addObject().put("epoch", id.epoch()).put("number", id.number()));
    return bytes(put(node, withdrawal.failure));
  }

  static Withdrawal readWithdrawal(byte[] payload) {
    JsonValue root = parse(payload, "withdrawal");
    List<Claim.Id> together = new ArrayList<>();
    for (JsonValue id : root.get("together").items(CLAIMS_MAX)) {
      long epoch = id.get("epoch").integer(Long.MIN_VALUE, Long.MAX_VALUE);
      together.add(new Claim.Id(epoch, id.get("number").integer(0, Long.MAX_VALUE)));
    }
    return new Withdrawal(
        root.get("number").integer(0, Long.MAX_VALUE),
        root.get("name").text(),
        failure(root),
        together);
  }

  private static ObjectNode put(ObjectNode node, Failure failure) {
    return node.put("code", failure.code().name()).put("message", shortened(failure.message()));
  }

  private static String shortened(String message) {
    return message.length() <= MESSAGE_CHARS_MAX
        ? message
        : message.substring(0, MESSAGE_CHARS_MAX) + "...";
  }

  private static Failure failure(JsonValue root) {
    String name = root.get("code").text();
    Code code =
        Arrays.stream(Code.values())
            .filter(c -> c.name().equals(name))
            .findFirst()
            .orElse(Code.INTERNAL);
    return new Failure(code, root.get("message").text());
  }

  static byte[] claim(Claim claim) {
    ObjectNode node =
        object()
            .put("number", claim.id().number())
            .put("name", claim.name())
            .put("side", claim.side().name());
    Map<Mesh, Integer> meshes = new LinkedHashMap<>();
    Map<Sharding, Integer> layouts = new LinkedHashMap<>();
    for (TensorSide tensor : claim.tensors()) {
      meshes.putIfAbsent(tensor.layout().mesh(), meshes.size());
      layouts.putIfAbsent(tensor.layout(), layouts.size());
    }
    ArrayNode meshNodes = node.putArray("meshes");
    meshes.keySet().forEach(mesh -> meshNodes.add(MeshJson.write(mesh)));
    ArrayNode layoutNodes = node.putArray("layouts");
    for (Sharding layout : layouts.keySet()) {
      layoutNodes
          .addObject()
          .put("mesh", meshes.get(layout.mesh()))
          .set("spec", MeshJson.writeSpec(layout));
    }
    ArrayNode tensors = node.putArray("tensors");
    for (TensorSide tensor : claim.tensors()) {
      tensors.add(MeshJson.write(tensor.tensor()).put("layout", layouts.get(tensor.layout())));
    }
    claim.devices().forEach(node.putArray("devices")::add);
    claim.strategy().ifPresent(strategy -> node.put("strategy", strategy.id()));
    claim.order().ifPresent(order -> node.put("order", order.id()));
    claim.topology().ifPresent(topology -> node.set("topology", MeshJson.write(topology)));
    node.put("verify", claim.verify());
    return bytes(node);
  }

  /** Reads a claim of the peer that sent it; one of devices that are not its own is refused. */
  static Claim readClaim(byte[] payload, String host, long epoch) {
    JsonValue root = parse(payload, "claim");
    List<Mesh> meshes =
        root.get("meshes").items(LAYOUTS_MAX).stream().map(MeshJson::readMesh).toList();
    List<Sharding> layouts = new ArrayList<>();
    for (JsonValue layout : root.get("layouts").items(LAYOUTS_MAX)) {
      int mesh = (int) layout.get("mesh").integer(0, meshes.size() - 1L);
      layouts.add(MeshJson.readSpec(layout.get("spec"), meshes.get(mesh)));
    }
    List<TensorSide> tensors = new ArrayList<>();
    for (JsonValue tensor : root.get("tensors").items(PlanRequest.MAX_TENSORS)) {
      int layout = (int) tensor.get("layout").integer(0, layouts.size() - 1L);
      tensors.add(new TensorSide(MeshJson.readTensor(tensor), layouts.get(layout)));
    }
    Claim claim =
        new Claim(
            new Claim.Id(epoch, root.get("number").integer(0, Long.MAX_VALUE)),
            host,
            root.get("name").text(),
            root.get("side").text().equals(Side.SRC.name()) ? Side.SRC : Side.DST,
            tensors,
            root.get("devices").indices(Mesh.MAX_DEVICES, Mesh.MAX_DEVICES),
            root.find("strategy").map(v -> Strategy.parse(v.text())),
            root.find("order").map(v -> Order.parse(v.text())),
            root.find("topology").map(MeshJson::readTopology),
            root.get("verify").truth());
    ClaimCheck.check(claim);
    return claim;
  }

  private static ObjectNode object() {
    return JsonNodeFactory.instance.objectNode();
  }

  private static byte[] bytes(ObjectNode node) {
    return node.toString().getBytes(StandardCharsets.UTF_8);
  }

  private static JsonValue parse(byte[] payload, String what) {
    return JsonValue.parse(new String(payload, StandardCharsets.UTF_8), what);
  }
}
