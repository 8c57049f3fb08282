package io.crossmesh.gateway;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.crossmesh.json.Json;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ScheduleCallsTest {
  private static final String RUN =
      """
      {"v":1,"forward":1,"backward":[2,2],"weight":null,"transfer_forward":0.5,
       "transfer_backward":[0.25],"overlap":true,"exchange":false,"half_duplex":false,
       "hosts":null,"activation":1,"residual":1}""";

  private static final String REQUEST =
      """
      {"v":1,"name":"1f1b","stages":2,"microbatches":3,"virtual":1,"inference":false,
       "memory":null,"run":null}""";

  private final PlannerGateway planner;

  ScheduleCallsTest(@TempDir Path directory) {
    planner = PlannerGateway.planningOnly(() -> Json.object().put("name", "planner"), directory);
  }

  @Test
  void aScheduleIsKeptTimedAndForgotten() throws JsonProcessingException {
    JsonNode made = ok(planner.schedule(REQUEST));
    long id = made.path("id").longValue();
    assertThat(ok(planner.scheduleStage(id, 1)).toString())
        .isEqualTo("[\"F0.1\",\"B0.1\",\"F1.1\",\"B1.1\",\"F2.1\",\"B2.1\"]");
    JsonNode result = ok(planner.simulate(id, RUN));
    assertThat(result.path("work").toString()).isEqualTo("[9.0,9.0]");
    JsonNode timeline = ok(planner.simulateTimeline(id, RUN));
    assertThat(timeline.path("ops")).hasSize(12);
    assertThat(timeline.path("transfers")).hasSize(6);
    assertThat(timeline.path("ops").get(0).toString()).isEqualTo("[0,\"F0.0\",0.0,1.0]");
    JsonNode again = ok(planner.scheduleLoad(ok(planner.scheduleJson(id)).toString()));
    assertThat(again.path("digest")).isEqualTo(made.path("digest"));
    ok(planner.scheduleRelease(id));
    assertThat(error(planner.simulate(id, RUN))).isEqualTo("CrossmeshError");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"name\":\"1f1b\" -> \"name\":\"2f2b\"",
        "\"stages\":2 -> \"stages\":0",
        "\"microbatches\":3 -> \"microbatches\":100000",
        "\"virtual\":1 -> \"virtual\":3",
        "\"memory\":null -> \"memory\":1",
        "\"memory\":null -> \"memory\":[1,2,3]",
        "\"name\":\"1f1b\" -> \"name\":\"adaptive\""
      })
  void whatCannotBeIsAScheduleError(String change) throws JsonProcessingException {
    String[] sides = change.split(" -> ", -1);
    assertThat(error(planner.schedule(REQUEST.replace(sides[0], sides[1]))))
        .isEqualTo("ScheduleError");
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "{}", "[]", "{\"v\":2}", "{\"v\":1,\"surplus\":1}"})
  void whatIsNoRequestIsALayoutError(String document) throws JsonProcessingException {
    assertThat(error(planner.schedule(document))).isEqualTo("LayoutError");
    assertThat(error(planner.scheduleLoad(document))).isEqualTo("LayoutError");
    long id = ok(planner.schedule(REQUEST)).path("id").longValue();
    assertThat(error(planner.simulate(id, document))).isEqualTo("LayoutError");
  }

  private static JsonNode ok(String envelope) throws JsonProcessingException {
    JsonNode json = new ObjectMapper().readTree(envelope);
    assertThat(json.has("ok")).as(envelope).isTrue();
    return json.path("ok");
  }

  private static String error(String envelope) throws JsonProcessingException {
    JsonNode json = new ObjectMapper().readTree(envelope);
    assertThat(json.has("error")).as(envelope).isTrue();
    return json.path("error").path("code").textValue();
  }
}
