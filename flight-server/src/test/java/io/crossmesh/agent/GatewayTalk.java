package io.crossmesh.agent;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.json.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;

/** Py4J's protocol by hand: a command's parts on a line each, the answer on one line. */
final class GatewayTalk {
  private GatewayTalk() {}

  /** Makes the agents of a map of name to Flight port known to one of them. */
  static void join(JsonNode info, ObjectNode ports) throws IOException {
    ArrayNode peers = Json.array();
    ports
        .properties()
        .forEach(
            peer ->
                peers
                    .addObject()
                    .put("name", peer.getKey())
                    .put("address", "127.0.0.1:" + peer.getValue().intValue()));
    JsonNode gateway = info.path("gateway");
    String answer =
        call(
            gateway.path("port").intValue(),
            gateway.path("token").textValue(),
            "c\nt\njoin\ns" + peers + "\ne\n");
    assertThat(answer).startsWith("!ys{\"ok\"");
  }

  /** The answer to a command, or how the connection ended. */
  static String call(int port, String token, String command) throws IOException {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port);
        BufferedReader answers =
            new BufferedReader(
                new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8))) {
      socket
          .getOutputStream()
          .write(("A\n" + token + "\n" + command).getBytes(StandardCharsets.UTF_8));
      answers.readLine();
      return String.valueOf(answers.readLine());
    } catch (java.net.SocketException e) {
      return "refused: " + e.getMessage();
    }
  }
}
