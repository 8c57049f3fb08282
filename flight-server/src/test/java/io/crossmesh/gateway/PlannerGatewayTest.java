package io.crossmesh.gateway;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.json.Json;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.plan.PlanJson;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.Mailbox;
import io.crossmesh.transfer.Side;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class PlannerGatewayTest {
  private static final String REQUEST =
      """
      {"v":1,"meshes":[{"shape":[2],"axis_names":[],"devices":[["a",0],["b",0]]},
                       {"shape":[2],"axis_names":[],"devices":[["c",0],["d",0]]}],
       "layouts":[{"mesh":0,"spec":[[0],[]]},{"mesh":1,"spec":[[],[0]]}],
       "tensors":[{"key":"w","shape":[8,8],"dtype":"float32","src":0,"dst":1}],
       "topology":null,"strategy":"auto","order":"size"}
      """;

  static final String CHANNEL =
      """
      {"name":"act","side":"src",
       "meshes":[{"shape":[2],"axis_names":[],"devices":[["a",0],["a",1]]}],
       "layouts":[{"mesh":0,"spec":[[0],[]]}],
       "tensors":[{"key":"w","shape":[8,8],"dtype":"float32","layout":0}],
       "devices":[0,1],"depth":4,"timeout":2.5,"strategy":null,"order":"size","topology":null}
      """;

  @TempDir Path directory;
  private final FakeEngine engine = new FakeEngine();
  private Lifelines lifelines;
  private PlannerGateway gateway;
  private final PlannerGateway planner =
      PlannerGateway.planningOnly(() -> Json.object().put("name", "planner"), Path.of(""));

  @BeforeEach
  void open() {
    lifelines = Lifelines.open(directory);
    gateway =
        PlannerGateway.of(
            () -> Json.object().put("name", "a"), new FakeAgent(engine), directory, lifelines);
  }

  @AfterEach
  void close() {
    gateway.close();
    lifelines.close();
  }

  @Test
  void aPlanIsKeptUntilItIsReleased() throws IOException {
    JsonNode plan = ok(planner.plan(REQUEST));
    assertThat(plan.path("digest").textValue()).hasSize(64);
    assertThat(plan.path("moves").intValue()).isPositive();
    assertThat(plan.path("bytes_sent").path("a").longValue()).isEqualTo(128);
    long id = plan.path("id").longValue();
    String document = ok(planner.planJson(id)).textValue();
    assertThat(ok(planner.planSummary(id))).isEqualTo(plan);
    assertThat(PlanJson.readRequest(ok(planner.planRequest(id)).textValue()))
        .isEqualTo(PlanJson.readRequest(REQUEST));
    assertThat(ok(planner.planReport(id, 3)).at("/tensors/rows/0/dtype").textValue())
        .isEqualTo("float32");
    assertThat(ok(planner.planCompare(id, "cheap")).path("rows")).isNotEmpty();
    assertThat(ok(planner.planTimeline(id)).path("start")).isNotEmpty();
    JsonNode again = ok(planner.planLoad(document));
    assertThat(again.path("digest")).isEqualTo(plan.path("digest"));
    assertThat(again.path("id")).isNotEqualTo(plan.path("id"));
    ok(planner.planRelease(id));
    assertThat(error(planner.planJson(id))).isEqualTo("CrossmeshError");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{", "[]", "{\"v\":2}", "null"})
  void whatIsNoRequestIsALayoutError(String document) throws IOException {
    assertThat(error(planner.plan(document))).isEqualTo("LayoutError");
    assertThat(error(planner.planLoad(document))).isEqualTo("LayoutError");
  }

  @Test
  void aForgedPlanIsRefused() throws IOException {
    String document = ok(planner.planJson(planOf(planner))).textValue();
    String forged = document.replaceFirst("\"sender\":0", "\"sender\":1");
    assertThat(forged).isNotEqualTo(document);
    assertThat(error(planner.planLoad(forged))).isEqualTo("LayoutError");
  }

  @Test
  void aPlannerRefusesWhatNeedsAnAgent() throws IOException {
    assertThat(error(planner.openSession(ProcessHandle.current().pid(), "x", "00")))
        .isEqualTo("AgentUnavailable");
    assertThat(error(planner.join("[]"))).isEqualTo("AgentUnavailable");
    assertThat(error(planner.status())).isEqualTo("AgentUnavailable");
  }

  @Test
  void aChannelIsOpenedAsTheDocumentSays() throws IOException {
    long session = session();
    JsonNode channel = ok(gateway.openChannel(session, CHANNEL));
    assertThat(channel.path("channel").longValue()).isEqualTo(1);
    ChannelOpen request = engine.requests.getFirst();
    assertThat(request.name()).isEqualTo("act");
    assertThat(request.side()).isEqualTo(Side.SRC);
    assertThat(request.devices()).containsExactly(0, 1);
    assertThat(request.depth()).isEqualTo(4);
    assertThat(request.timeoutNanos()).isEqualTo(TimeUnit.MILLISECONDS.toNanos(2500));
    assertThat(request.strategy()).isEmpty();
    assertThat(request.order()).isPresent();
    assertThat(request.owner()).contains("process 42");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"side\":\"up\"",
        "\"depth\":0",
        "\"depth\":1000000",
        "\"timeout\":-1",
        "\"devices\":[-1]",
        "\"order\":\"sideways\"",
        "\"surplus\":1,\"order\":null"
      })
  void aChannelThatCannotBeIsALayoutError(String field) throws IOException {
    String name = field.substring(0, field.indexOf(':'));
    String pattern =
        name.equals("\"surplus\"")
            ? "\"order\":\"size\""
            : name + ":(\\[[^\\]]*\\]|\"[^\"]*\"|[^,}]*)";
    assertThat(error(gateway.openChannel(session(), CHANNEL.replaceFirst(pattern, field))))
        .isEqualTo("LayoutError");
    assertThat(engine.requests).isEmpty();
  }

  @Test
  void callsReachTheEngineAndEventsTheSession() throws IOException {
    long session = session();
    ok(gateway.openChannel(session, CHANNEL));
    ok(gateway.send(session, 1, 5, 2));
    ok(gateway.recv(session, 1, 6));
    ok(gateway.cancel(session, 1, 7, "TransferCancelled", "why"));
    assertThat(engine.calls)
        .containsExactly("send 5 2", "recv 6", "cancel 7 TRANSFER_CANCELLED why");
    engine.participants.getFirst().onSent(5, 2);
    engine.participants.getFirst().onDelivered(5);
    engine.participants.getFirst().onReceived(6, 99, 4096, false);
    engine.participants.getFirst().onStepFailed(7, Code.TRANSFER_CANCELLED, "why");
    assertThat(ok(gateway.nextEvents(session, 0)).path("events").toString())
        .isEqualTo(
            "[{\"e\":\"sent\",\"channel\":1,\"step\":5,\"set\":2},"
                + "{\"e\":\"delivered\",\"channel\":1,\"step\":5},"
                + "{\"e\":\"received\",\"channel\":1,\"step\":6,\"receipt\":99,\"base\":4096,\"copy\":false},"
                + "{\"e\":\"step_failed\",\"channel\":1,\"step\":7,\"code\":\"TransferCancelled\",\"message\":\"why\"}]");
  }

  @Test
  void aReceiptIsReleasedAfterTheChannelsEnd() throws IOException {
    long session = session();
    ok(gateway.openChannel(session, CHANNEL));
    engine.participants.getFirst().onReceived(6, 99, 4096, false);
    engine.participants.getFirst().onClosed();
    ok(gateway.release(session, 1, 99));
    assertThat(engine.calls).containsExactly("release 99");
    assertThat(error(gateway.recv(session, 1, 7))).isEqualTo("CrossmeshError");
  }

  @Test
  void stepsThatNobodyCollectsAreLimited() throws IOException {
    long session = session();
    ok(gateway.openChannel(session, CHANNEL));
    for (int step = 0; step < Session.STEPS_MAX; step++) {
      gateway.recv(session, 1, step);
    }
    assertThat(error(gateway.recv(session, 1, Session.STEPS_MAX))).isEqualTo("TooManySteps");
    engine.participants.getFirst().onReceived(0, 1, 0, false);
    ok(gateway.nextEvents(session, 0));
    ok(gateway.recv(session, 1, Session.STEPS_MAX));
  }

  @Test
  void aClosedSessionGivesEverythingBack() throws IOException {
    long session = session();
    ok(gateway.openChannel(session, CHANNEL));
    ok(gateway.closeSession(session));
    assertThat(engine.calls).singleElement().asString().startsWith("gone ");
    assertThat(error(gateway.nextEvents(session, 0))).isEqualTo("TransferCancelled");
  }

  @Test
  void aProcessThatEndsTakesItsSessionWithIt() throws Exception {
    try (Lived process = Lived.at(lifelines.path())) {
      long session = session(process);
      ok(gateway.openChannel(session, CHANNEL));
      process.end();
      assertThat(engine.gone.get(30, TimeUnit.SECONDS))
          .contains("process 42")
          .contains("ended without closing");
      assertThat(error(gateway.nextEvents(session, 0))).isEqualTo("TransferCancelled");
    }
  }

  @Test
  void aSessionOfAProcessThatDoesNotShowThatItLivesIsRefused() throws IOException {
    assertThat(error(gateway.openSession(42, "x", "00"))).isEqualTo("AgentUnavailable");
    assertThat(ok(gateway.status()).path("sessions")).isEmpty();
  }

  private long session() throws IOException {
    return session(Lived.at(lifelines.path()));
  }

  private long session(Lived process) throws IOException {
    return ok(gateway.openSession(42, "test", process.key())).path("session").longValue();
  }

  private static long planOf(PlannerGateway planner) throws IOException {
    return ok(planner.plan(REQUEST)).path("id").longValue();
  }

  private static JsonNode ok(String envelope) throws JsonProcessingException {
    JsonNode json = new ObjectMapper().readTree(envelope);
    assertThat(json.has("ok")).as(envelope).isTrue();
    return json.path("ok");
  }

  private static String error(String envelope) throws JsonProcessingException {
    JsonNode error = new ObjectMapper().readTree(envelope).path("error");
    assertThat(error.path("message").textValue()).as(envelope).isNotBlank();
    return error.path("code").textValue();
  }

  private record FakeAgent(ChannelOpener channels) implements AgentSide {
    @Override
    public Optional<Doorbell> bell() {
      return Optional.empty();
    }

    @Override
    public void attach(Mailbox mailbox) {
      throw new IllegalStateException("no rings here");
    }

    @Override
    public ObjectNode join(JsonValue peers) {
      return Json.object();
    }

    @Override
    public ObjectNode status() {
      return Json.object();
    }
  }
}
