package io.crossmesh.gateway;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.json.Json;
import io.crossmesh.memory.Doorbell;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.transfer.Mailbox;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The agent's side of a ring, with the client's played by hand; nobody sleeps or waits. */
@Timeout(60)
final class ClientRingTest {
  private static final int RECORDS = ClientRing.RECORDS;

  @TempDir Path directory;
  private final FakeEngine engine = new FakeEngine();
  private final List<Mailbox> mailboxes = new ArrayList<>();
  private final Arena memory = Arena.ofShared();
  private Doorbell bell;
  private Lifelines lifelines;
  private PlannerGateway gateway;

  @BeforeEach
  void open() throws IOException {
    bell = Doorbell.create(directory.resolve("bell"));
    lifelines = Lifelines.open(directory);
    gateway = PlannerGateway.of(Json::object, new Agent(), directory, lifelines);
  }

  @AfterEach
  void close() {
    gateway.close();
    lifelines.close();
    drain();
    bell.close();
    memory.close();
  }

  @Test
  void commandsKeepTheirOrderAcrossTheEndOfTheRing() throws IOException {
    Client client = new Client();
    List<String> expected = new ArrayList<>();
    for (int step = 0; step < 3 * RECORDS; step++) {
      client.command(ClientRing.RELEASE, client.channel, step, 0);
      expected.add("release " + step);
      if (step % 1000 == 999) {
        drain();
      }
    }
    drain();
    assertThat(engine.calls).isEqualTo(expected);
    assertThat(client.word(ClientRing.COMMANDS_HEAD)).isEqualTo(3L * RECORDS);
  }

  @Test
  void whatFindsTheRingFullComesLaterInItsOrder() throws IOException {
    Client client = new Client();
    int events = 2 * RECORDS + 100;
    for (int step = 0; step < events; step++) {
      engine.participants.getFirst().onSent(step, step % 4);
    }
    assertThat(client.word(ClientRing.EVENTS_WAIT)).isEqualTo(1);
    List<Long> steps = new ArrayList<>();
    for (int turn = 0; turn < 4; turn++) {
      client.take(steps);
      drain();
    }
    assertThat(steps).hasSize(events).isSorted().doesNotHaveDuplicates();
    assertThat(client.word(ClientRing.EVENTS_WAIT)).isZero();
  }

  @Test
  void onlyAClientThatSleepsIsRung() throws IOException {
    Client client = new Client();
    engine.participants.getFirst().onDelivered(1);
    client.set(ClientRing.CLIENT_SLEEPS, 1);
    engine.participants.getFirst().onDelivered(2);
    engine.participants.getFirst().onDelivered(3);
    assertThat(client.word(ClientRing.CLIENT_SLEEPS)).isZero();
    assertThat(client.rung()).isEqualTo(1);
  }

  @Test
  void aFreedSetIsRungForOnlyWhereOneIsWaitedFor() throws IOException {
    Client client = new Client();
    client.set(ClientRing.CLIENT_SLEEPS, 1);
    engine.participants.getFirst().onSent(1, 0);
    assertThat(mailboxes.getFirst().sleep()).isTrue();
    assertThat(client.word(ClientRing.CLIENT_SLEEPS)).isEqualTo(1);
    engine.participants.getFirst().onDelivered(1);
    assertThat(client.word(ClientRing.CLIENT_SLEEPS)).isZero();
    client.set(ClientRing.SETS_WANTED, 1);
    client.set(ClientRing.CLIENT_SLEEPS, 1);
    engine.participants.getFirst().onSent(2, 0);
    assertThat(client.word(ClientRing.CLIENT_SLEEPS)).isZero();
    assertThat(client.rung()).isEqualTo(2);
  }

  @Test
  void anAgentThatSleepsHasSaidSoAndLookedOnceMore() throws IOException {
    Client client = new Client();
    assertThat(mailboxes.getFirst().sleep()).isTrue();
    assertThat(client.word(ClientRing.AGENT_SLEEPS)).isEqualTo(1);
    client.command(ClientRing.RECV, client.channel, 0, 0);
    assertThat(mailboxes.getFirst().sleep()).isFalse();
    mailboxes.getFirst().wake();
    assertThat(client.word(ClientRing.AGENT_SLEEPS)).isZero();
  }

  @Test
  void callsComeAfterTheCommandsThatWereLeftBeforeThemAndBeforeThoseLeftLater() throws IOException {
    Client client = new Client();
    client.command(ClientRing.SEND, client.channel, 7, 2);
    ok(gateway.cancel(client.session, client.channel, 7, "TransferCancelled", "enough"));
    client.command(ClientRing.SEND, client.channel, 8, 1);
    drain();
    drain();
    assertThat(engine.calls)
        .containsExactly("send 7 2", "cancel 7 TRANSFER_CANCELLED enough", "send 8 1");
  }

  @Test
  void aCommandThatIsRefusedFailsItsStep() throws IOException {
    Client client = new Client();
    client.command(ClientRing.RECV, 99, 5, 0);
    client.command(ClientRing.SEND, client.channel, 6, 1L << 40);
    client.command(ClientRing.RELEASE, 99, 5, 0);
    drain();
    assertThat(client.take(new ArrayList<>())).containsExactly(4L, 4L);
    JsonNode events = ok(gateway.nextEvents(client.session, 0)).path("events");
    assertThat(events.findValuesAsText("e")).containsExactly("step_failed", "step_failed");
    assertThat(events.findValuesAsText("step")).containsExactly("5", "6");
    assertThat(engine.calls).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(longs = {-1, RECORDS + 1L, Long.MIN_VALUE, Long.MAX_VALUE})
  void aPositionThatCannotBeEndsThisSessionAlone(long position) throws IOException {
    Client client = new Client();
    Client other = new Client();
    client.set(ClientRing.COMMANDS_TAIL, position);
    drain();
    drain();
    drain();
    assertThat(engine.calls).hasSize(1).first().asString().contains("positions into its ring");
    assertThat(client.word(ClientRing.OVER)).isEqualTo(1);
    assertThat(mailboxes).hasSize(1);
    other.command(ClientRing.RECV, other.channel, 0, 0);
    drain();
    assertThat(engine.calls).endsWith("recv 0");
  }

  @Test
  void garbageForRecordsEndsTheSession() throws IOException {
    Client client = new Client();
    client.command(0x5555_5555_5555L, 1, 2, 3);
    client.command(ClientRing.RECV, client.channel, 0, 0);
    drain();
    drain();
    assertThat(engine.calls).hasSize(1).first().asString().startsWith("gone");
    assertThat(client.word(ClientRing.OVER)).isEqualTo(1);
  }

  @Test
  void theEndOfASessionRemovesItsFiles() throws IOException {
    Client client = new Client();
    ok(gateway.closeSession(client.session));
    drain();
    assertThat(client.word(ClientRing.OVER)).isEqualTo(1);
    assertThat(mailboxes).isEmpty();
    assertThat(directory).isDirectoryNotContaining("glob:**session-*");
  }

  private void drain() {
    for (Mailbox mailbox : List.copyOf(mailboxes)) {
      mailbox.drain();
      if (mailbox.over()) {
        mailboxes.remove(mailbox);
      }
    }
  }

  private static JsonNode ok(String envelope) throws IOException {
    JsonNode json = new ObjectMapper().readTree(envelope);
    assertThat(json.has("ok")).as(envelope).isTrue();
    return json.path("ok");
  }

  /** A session with one channel, and the client's view of its ring. */
  private final class Client {
    final long session;
    final long channel;
    private final MemorySegment shared;
    private final Path pipe;
    private long tail;
    private long head;

    Client() throws IOException {
      session =
          ok(gateway.openSession(42, "test", Lived.at(lifelines.path()).key()))
              .path("session")
              .asLong();
      JsonNode paths = ok(gateway.openRing(session));
      channel =
          ok(gateway.openChannel(session, PlannerGatewayTest.CHANNEL)).path("channel").asLong();
      pipe = Path.of(paths.path("bell").asText());
      try (FileChannel file =
          FileChannel.open(
              Path.of(paths.path("ring").asText()),
              StandardOpenOption.READ,
              StandardOpenOption.WRITE)) {
        shared = file.map(FileChannel.MapMode.READ_WRITE, 0, ClientRing.FILE_BYTES, memory);
      }
      assertThat(word(0)).isEqualTo(ClientRing.MAGIC);
      assertThat(word(8)).isEqualTo(RECORDS);
    }

    long word(long at) {
      return shared.get(JAVA_LONG, at);
    }

    void set(long at, long value) {
      shared.set(JAVA_LONG, at, value);
    }

    void command(long kind, long onChannel, long number, long set) {
      long at = ClientRing.COMMANDS + (tail % RECORDS) * ClientRing.RECORD_BYTES;
      set(at, kind);
      set(at + 8, onChannel);
      set(at + 16, number);
      set(at + 24, set);
      tail++;
      set(ClientRing.COMMANDS_TAIL, tail);
    }

    /** Takes all events; adds their steps and answers their kinds. */
    List<Long> take(List<Long> steps) {
      List<Long> kinds = new ArrayList<>();
      for (; head < word(ClientRing.EVENTS_TAIL); head++) {
        long at = ClientRing.EVENTS + (head % RECORDS) * ClientRing.RECORD_BYTES;
        kinds.add(word(at));
        steps.add(word(at + 16));
      }
      set(ClientRing.EVENTS_HEAD, head);
      return kinds;
    }

    /** Bytes in the client's pipe, which has some. */
    int rung() throws IOException {
      try (FileChannel read = FileChannel.open(pipe, StandardOpenOption.READ)) {
        return read.read(java.nio.ByteBuffer.allocate(64));
      }
    }
  }

  private final class Agent implements AgentSide {
    @Override
    public ChannelOpener channels() {
      return engine;
    }

    @Override
    public Optional<Doorbell> bell() {
      return Optional.of(bell);
    }

    @Override
    public void attach(Mailbox mailbox) {
      mailboxes.add(mailbox);
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
