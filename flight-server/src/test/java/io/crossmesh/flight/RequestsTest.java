package io.crossmesh.flight;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.MeshJson;
import java.nio.charset.StandardCharsets;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class RequestsTest {
  private static final String TENSOR =
      """
      {"v":1,"tensor":"w","shape":[8,6],"dtype":"float32",
       "layout":{"mesh":{"shape":[2],"axis_names":[],"devices":[["a",0],["b",0]]},"spec":[[0],[]]}}
      """;

  @Test
  void aTicketSaysWhatItIsFor() {
    Box box = Box.of(new long[] {0, 2}, new long[] {4, 6});
    byte[] ticket = Requests.ticket("w", box, false);
    assertThat(new String(ticket, StandardCharsets.UTF_8))
        .isEqualTo("{\"v\":1,\"tensor\":\"w\",\"box\":[[0,4],[2,6]]}");
    assertThat(MeshJson.readBox(Requests.read("ticket", ticket).get("box"))).isEqualTo(box);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "null",
        "[]",
        "{}",
        "{\"v\":2}",
        "{\"v\":\"1\"}",
        "{\"v\":1.0}",
        "{\"v\":1}{}",
        "{\"v\":1,\"v\":1}",
        "{\"v\":1"
      })
  void otherDocumentsAndVersionsAreRefused(String document) {
    refused(() -> Requests.read("ticket", document.getBytes(StandardCharsets.UTF_8)));
  }

  @Test
  void anUnknownVersionIsNamed() {
    assertThatThrownBy(() -> Requests.read("ticket", "{\"v\":7}".getBytes(StandardCharsets.UTF_8)))
        .hasMessageContaining("version 7")
        .hasMessageContaining("version 1");
  }

  @Test
  void bytesThatAreNotTextAndDocumentsThatAreTooLargeAreRefused() {
    refused(() -> Requests.read("ticket", new byte[] {'{', (byte) 0xff, '}'}));
    refused(() -> Requests.read("ticket", new byte[Requests.BYTES_MAX + 1]));
    refused(
        () ->
            Requests.read(
                "ticket",
                ("{\"v\":1,\"x\":" + "[".repeat(1000) + "]".repeat(1000) + "}")
                    .getBytes(StandardCharsets.UTF_8)));
  }

  @Test
  void aTensorIsReadAndWrittenAlike() {
    TensorMeta meta = TensorMeta.read(JsonValue.parse(TENSOR, "tensor"));
    assertThat(meta.name()).isEqualTo("w");
    assertThat(meta.tile(1)).isEqualTo(Box.of(new long[] {4, 0}, new long[] {8, 6}));
    assertThat(meta.holders()).hasSize(2);
    assertThat(meta.devicesOf("b")).containsExactly(1);
    assertThat(TensorMeta.read(JsonValue.parse(meta.write().toString(), "tensor"))).isEqualTo(meta);
  }

  @Test
  void aSpecMayBeWrittenAsANotation() {
    String notation = TENSOR.replace("[[0],[]]}", "\"S0 R\"}");
    assertThat(TensorMeta.read(JsonValue.parse(notation, "tensor")))
        .isEqualTo(TensorMeta.read(JsonValue.parse(TENSOR, "tensor")));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"tensor\":\"\"",
        "\"shape\":[8]",
        "\"shape\":[-8,6]",
        "\"dtype\":\"float33\"",
        "\"layout\":{\"mesh\":{\"shape\":[2],\"devices\":[[\"a\",0]]},\"spec\":[[0],[]]}"
      })
  void tensorsThatCannotBeAreRefused(String field) {
    String name = field.substring(0, field.indexOf(':'));
    String valid = TENSOR.replaceAll("\\s*\\n\\s*", "");
    int from = valid.indexOf(name);
    int to = name.equals("\"layout\"") ? valid.length() - 1 : valid.indexOf(",\"", from);
    String document = valid.substring(0, from) + field + valid.substring(to);
    refused(() -> TensorMeta.read(JsonValue.parse(document, "tensor")));
  }

  @Test
  void helloRefusesAnotherProtocolNamingBoth() {
    JsonValue old =
        JsonValue.parse(
            "{\"v\":1,\"protocol\":9,\"name\":\"b\",\"epoch\":5,\"info_file\":\"x\"}", "hello");
    assertThatThrownBy(() -> Hello.read(old, new HostPort("127.0.0.1", 1)))
        .isInstanceOf(CrossmeshException.class)
        .hasMessageContaining("version 9")
        .hasMessageContaining("version " + Hello.PROTOCOL);
  }

  private static void refused(ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.LAYOUT));
  }
}
