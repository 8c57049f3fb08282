package io.crossmesh.gateway;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.json.Json;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Speaks Py4J's protocol by hand: one command a line, an answer a line. */
@Timeout(30)
class GatewayDoorTest {
  private static final String TOKEN = "the-token-of-this-test";

  private final GatewayDoor door =
      GatewayDoor.open(
          PlannerGateway.planningOnly(() -> Json.object().put("name", "planner"), Path.of("")),
          TOKEN);

  @AfterEach
  void close() {
    door.close();
  }

  @Test
  void theEntryPointAnswersWithTheToken() throws IOException {
    try (Talk talk = new Talk()) {
      assertThat(talk.say("A\n" + TOKEN + "\n")).isEqualTo("!yv");
      assertThat(talk.say("c\nt\nhello\ne\n")).contains("planner");
      assertThat(talk.say("c\nt\nplanRelease\ni7\ne\n")).startsWith("!ys").contains("ok");
    }
  }

  @Test
  void nothingIsAnsweredWithoutTheToken() throws IOException {
    for (String first : new String[] {"A\nwrong\n", "c\nt\nhello\ne\n", "A\n\n"}) {
      try (Talk talk = new Talk()) {
        assertThat(talk.say(first)).as(first).doesNotContain("planner").doesNotStartWith("!y");
        assertThat(talk.ended()).as(first).isTrue();
      }
    }
  }

  @Test
  void nothingButTheEntryPointsMethodsIsReached() throws IOException {
    String[] strangers = {
      "r\nu\nRuntime\nrj\ne\n",
      "r\nm\njava.lang.Runtime\ngetRuntime\ne\n",
      "i\njava.lang.Object\ne\n",
      "f\ng\nt\nidentity\ne\n",
      "d\nm\nt\ne\n",
      "j\ni\nrj\nsjava.io.*\ne\n",
      "m\nd\nt\ne\n",
      "s\n",
    };
    for (String stranger : strangers) {
      try (Talk talk = new Talk()) {
        talk.say("A\n" + TOKEN + "\n");
        assertThat(talk.say(stranger)).as(stranger).doesNotStartWith("!y");
        assertThat(talk.ended()).as(stranger).isTrue();
      }
    }
    String[] calls = {
      "c\nt\ngetClass\ne\n",
      "c\nt\nclose\ne\n",
      "c\nz:java.lang.Runtime\ngetRuntime\ne\n",
      "c\nt\nhello\nsextra\ne\n",
      "c\nt\nplanJson\nsno-number\ne\n"
    };
    try (Talk talk = new Talk()) {
      talk.say("A\n" + TOKEN + "\n");
      for (String call : calls) {
        assertThat(talk.say(call)).as(call).startsWith("!x");
      }
      assertThat(talk.say("c\nt\nhello\ne\n")).contains("planner");
    }
  }

  private final class Talk implements AutoCloseable {
    private final Socket socket = new Socket(InetAddress.getLoopbackAddress(), door.port());
    private final BufferedReader answers =
        new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));

    Talk() throws IOException {}

    String say(String command) throws IOException {
      socket.getOutputStream().write(command.getBytes(StandardCharsets.UTF_8));
      return line();
    }

    boolean ended() {
      String line = line();
      while (!line.equals("null")) {
        line = line();
      }
      return true;
    }

    /** A line, or "null" when the other end has closed, in peace or not. */
    private String line() {
      try {
        return String.valueOf(answers.readLine());
      } catch (IOException e) {
        return "null";
      }
    }

    @Override
    public void close() throws IOException {
      socket.close();
    }
  }
}
