package io.crossmesh.flight;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.json.Json;
import io.crossmesh.memory.Arena;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.DType;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Sharding;
import io.crossmesh.mesh.TensorSpec;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.arrow.flight.AsyncPutListener;
import org.apache.arrow.flight.CallOption;
import org.apache.arrow.flight.Criteria;
import org.apache.arrow.flight.FlightClient;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStatusCode;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.grpc.CredentialCallOption;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Two endpoints in one process, without a transfer engine. What is not given back fails the test.
 */
@Timeout(120)
class FlightDoorTest {
  private static final String TOKEN = "the-token-of-this-test";
  private static final Duration LIMIT = Duration.ofSeconds(30);
  private static final Quotas QUOTAS = new Quotas(4, 4 << 20);

  @TempDir Path directory;

  private final BufferAllocator allocator = new RootAllocator();
  private Host a;
  private Host b;

  private final class Host {
    private final Arena arena;
    private final Peers peers;
    private final FlightDoor door;
    private final AtomicInteger refused = new AtomicInteger();
    private final AtomicInteger overQuota = new AtomicInteger();
    private final PeerClient client;
    private final FlightClient raw;

    Host(String name) {
      arena = Arena.create(directory.resolve(name), 16 << 20);
      peers =
          new Peers(
              name,
              Optional.empty(),
              allocator,
              TOKEN,
              DoorSecurity.plain(),
              Optional.empty(),
              specs -> {});
      door =
          FlightDoor.open(
              new FlightDoor.Settings(
                  name,
                  "127.0.0.1",
                  0,
                  DoorSecurity.plain(),
                  TOKEN::equals,
                  refused::incrementAndGet,
                  QUOTAS,
                  overQuota::incrementAndGet,
                  () -> new Hello(name, 1 + name.hashCode(), Optional.empty(), "/none"),
                  asker -> Optional.empty(),
                  Json::object,
                  Optional.empty()),
              allocator,
              arena,
              peers,
              (request, participant) -> {
                throw new CrossmeshException(Code.AGENT_UNAVAILABLE, "no engine here.");
              });
      client = new PeerClient(allocator, address(), TOKEN, DoorSecurity.plain());
      raw =
          FlightClient.builder(allocator, Location.forGrpcInsecure("127.0.0.1", door.port()))
              .build();
    }

    HostPort address() {
      return new HostPort("127.0.0.1", door.port());
    }

    void close() throws InterruptedException {
      raw.close();
      client.close();
      door.close();
      peers.close();
      assertThat(arena.used()).as("arena of a closed door").isZero();
      arena.close();
    }
  }

  @BeforeEach
  void open() {
    a = new Host("a");
    b = new Host("b");
    List<PeerAddress> all =
        List.of(new PeerAddress("a", a.address()), new PeerAddress("b", b.address()));
    assertThat(a.peers.join(all)).extracting(Hello::name).containsExactly("b");
    assertThat(b.peers.join(all)).extracting(Hello::name).containsExactly("a");
  }

  @AfterEach
  void close() throws InterruptedException {
    a.close();
    b.close();
    assertThat(allocator.getAllocatedMemory()).as("Flight buffers").isZero();
    allocator.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"float32", "bool", "bfloat16", "int64", "complex256"})
  void anySliceComesFromTheTilesOfAllHosts(String dtype) {
    long seed = 7;
    Random random = new Random(seed);
    TensorMeta meta = meta("w", List.of(37L, 11L, 5L), dtype, "S0 R S1");
    byte[] whole = new byte[Math.toIntExact(meta.spec().bytes())];
    random.nextBytes(whole);
    if (dtype.equals("bool")) {
      for (int i = 0; i < whole.length; i++) {
        whole[i] &= 1;
      }
    }
    putAll(meta, whole);
    for (int i = 0; i < 30; i++) {
      Box box = randomBox(random, meta.whole());
      byte[] expected = cut(whole, meta.whole(), box, meta.spec().dtype().bytes());
      for (Host host : List.of(a, b)) {
        byte[] got = new byte[expected.length];
        assertThat(slice(host, meta, box, got)).isTrue();
        assertThat(got).as("%s, seed %d, slice %s", dtype, seed, box).isEqualTo(expected);
      }
    }
  }

  @Test
  void aSliceLargerThanABandIsWhole() {
    TensorMeta meta = meta("large", List.of(1500L, 1000L), "float32", "S0 S1");
    byte[] whole = new byte[Math.toIntExact(meta.spec().bytes())];
    new Random(3).nextBytes(whole);
    putAll(meta, whole);
    Box box = Box.of(new long[] {1, 1}, new long[] {1499, 999});
    byte[] got = new byte[Math.toIntExact(meta.bytes(box))];
    assertThat(slice(a, meta, box, got)).isTrue();
    assertThat(got).isEqualTo(cut(whole, meta.whole(), box, 4));
  }

  @Test
  void everyTileHasAnEndpointAtItsHost() {
    TensorMeta meta = meta("w", List.of(4L, 4L), "int32", "S0 S1");
    putAll(meta, new byte[64]);
    FlightInfo info = b.raw.getInfo(FlightDescriptor.path("w"), credentials(TOKEN));
    assertThat(info.getRecords()).isEqualTo(16);
    assertThat(info.getBytes()).isEqualTo(64);
    assertThat(info.getEndpoints()).hasSize(4);
    assertThat(info.getEndpoints().getFirst().getLocations())
        .extracting(location -> location.getUri().getPort())
        .containsExactly(a.door.port());
    assertThat(info.getEndpoints().getLast().getLocations())
        .extracting(location -> location.getUri().getPort())
        .containsExactly(b.door.port());
    assertThat(b.raw.listFlights(Criteria.ALL, credentials(TOKEN))).hasSize(1);
  }

  @Test
  void aReplacedOrDroppedTileGivesItsMemoryBack() {
    TensorMeta meta = meta("w", List.of(4L, 4L), "int32", "S0 S1");
    putAll(meta, new byte[64]);
    long used = a.arena.used();
    putAll(meta, new byte[64]);
    assertThat(a.arena.used()).isEqualTo(used);
    JsonValue dropped =
        b.client.action(Actions.DROP, Requests.versioned().put("tensor", "w"), LIMIT);
    assertThat(dropped.get("dropped").node().asBoolean()).isTrue();
    assertThat(a.arena.used()).isZero();
    status(FlightStatusCode.NOT_FOUND, () -> b.raw.getInfo(path("w"), credentials(TOKEN)));
  }

  @Test
  void aStrangerIsRefusedAtEveryCall() {
    for (CallOption wrong :
        List.of(
            new CredentialCallOption(headers -> {}),
            credentials("another-token-here"),
            new CredentialCallOption(headers -> headers.insert("authorization", "Basic x")))) {
      status(FlightStatusCode.UNAUTHENTICATED, () -> a.raw.getInfo(path("w"), wrong));
      status(
          FlightStatusCode.UNAUTHENTICATED,
          () -> a.raw.listFlights(Criteria.ALL, wrong).forEach(info -> {}));
      status(
          FlightStatusCode.UNAUTHENTICATED,
          () ->
              a.raw
                  .doAction(new org.apache.arrow.flight.Action(Actions.HEALTH), wrong)
                  .forEachRemaining(result -> {}));
    }
    assertThat(a.refused).as("three ways to lack the token, three calls each").hasValue(9);
  }

  @Test
  void tilesThatDoNotFitAreRefusedAndLeaveNothing() {
    TensorMeta meta = meta("w", List.of(4L, 4L), "int32", "S0 S1");
    String there = "device 2";
    assertThatThrownBy(() -> put(a, meta, 2, new byte[16])).hasMessageContaining(there);
    assertThatThrownBy(() -> put(a, meta, 9, new byte[16])).hasMessageContaining("device 9");
    assertThatThrownBy(() -> put(a, meta, 0, new byte[12])).hasMessageContaining("12 came");
    assertThatThrownBy(() -> put(a, meta, 0, new byte[20])).hasMessageContaining("more than 16");
    assertThat(a.arena.used()).isZero();
    put(a, meta, 0, new byte[16]);
    TensorMeta other = meta("w", List.of(4L, 8L), "int32", "S0 S1");
    assertThatThrownBy(() -> put(a, other, 0, new byte[32])).hasMessageContaining("drop it first");
    TensorMeta huge = meta("huge", List.of(1L << 20, 64L), "int32", "S0 S1");
    status(FlightStatusCode.RESOURCE_EXHAUSTED, () -> put(a, huge, 0, new byte[16]));
  }

  @Test
  void aTileThatWasNeverPutIsNamed() {
    TensorMeta meta = meta("w", List.of(4L, 4L), "int32", "S0 S1");
    put(a, meta, 0, new byte[16]);
    status(
        FlightStatusCode.NOT_FOUND,
        () -> {
          try (var stream =
              new Closing(
                  a.raw.getStream(
                      new org.apache.arrow.flight.Ticket(Requests.ticket("w", meta.whole(), false)),
                      credentials(TOKEN)))) {
            stream.drain();
          }
        });
  }

  @Test
  void aReshardThatFailsLeavesNothingAndSaysWhy() {
    TensorMeta meta = meta("w", List.of(4L, 4L), "int32", "S0 S1");
    putAll(meta, new byte[64]);
    ObjectNode request = Requests.versioned().put("tensor", "w").put("to", "x");
    request.set("layout", Layouts.write(meta.layout()));
    assertThatThrownBy(() -> a.client.action(Actions.RESHARD, request, LIMIT))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.AGENT_UNAVAILABLE))
        .hasMessageContaining("no engine here");
    status(FlightStatusCode.NOT_FOUND, () -> b.raw.getInfo(path("x"), credentials(TOKEN)));
  }

  @Test
  void aClientOverItsQuotaOfBytesIsToldSoAndMayAskAgain() {
    TensorMeta meta = meta("large", List.of(1200L, 1000L), "float32", "R R");
    byte[] tile = new byte[Math.toIntExact(meta.spec().bytes())];
    FlightClient.ClientStreamListener unfinished = begin(meta);
    assertThatThrownBy(() -> put(a, meta, 1, tile))
        .isInstanceOfSatisfying(
            FlightRuntimeException.class,
            e -> assertThat(e.status().code()).isEqualTo(FlightStatusCode.RESOURCE_EXHAUSTED))
        .hasMessageContaining("wait for some and ask again");
    assertThat(a.overQuota).hasValue(1);
    unfinished.completed();
    assertThatThrownBy(unfinished::getResult).hasMessageContaining("but 0 came");
    put(a, meta, 1, tile);
    assertThat(a.overQuota).hasValue(1);
  }

  @Test
  void aClientOverItsQuotaOfCallsIsToldSoAndMayAskAgain() {
    TensorMeta meta = meta("small", List.of(4L, 4L), "int32", "R R");
    List<FlightClient.ClientStreamListener> unfinished = new ArrayList<>();
    for (int call = 0; call < QUOTAS.calls(); call++) {
      unfinished.add(begin(meta));
    }
    assertThatThrownBy(() -> a.client.action(Actions.HEALTH, Requests.versioned(), LIMIT))
        .isInstanceOfSatisfying(
            CrossmeshException.class, e -> assertThat(e.code()).isEqualTo(Code.AGENT_UNAVAILABLE))
        .hasMessageContaining("4 calls")
        .hasMessageContaining("ask again");
    unfinished.forEach(FlightClient.ClientStreamListener::completed);
    unfinished.forEach(each -> assertThatThrownBy(each::getResult).hasMessageContaining("0 came"));
    a.client.action(Actions.HEALTH, Requests.versioned(), LIMIT);
    assertThat(a.overQuota).hasValue(1);
  }

  /** A tile whose bytes do not come; the agent has read its descriptor when this returns. */
  private FlightClient.ClientStreamListener begin(TensorMeta meta) {
    long held = a.arena.used();
    byte[] command = Requests.write(meta.write().put("device", 0));
    Schema schema =
        new Schema(List.of(Field.notNullable("data", new ArrowType.FixedSizeBinary(1))));
    try (VectorSchemaRoot root = VectorSchemaRoot.create(schema, allocator)) {
      FlightClient.ClientStreamListener upload =
          a.raw.startPut(
              FlightDescriptor.command(command), root, new AsyncPutListener(), credentials(TOKEN));
      long limit = System.nanoTime() + LIMIT.toNanos();
      while (a.arena.used() == held && System.nanoTime() < limit) {
        Thread.onSpinWait();
      }
      return upload;
    }
  }

  @Test
  void unknownActionsAndHostsAreNamed() {
    status(
        FlightStatusCode.UNIMPLEMENTED,
        () ->
            a.raw
                .doAction(new org.apache.arrow.flight.Action("explode"), credentials(TOKEN))
                .forEachRemaining(result -> {}));
    assertThatThrownBy(() -> a.peers.client("z")).hasMessageContaining("'z'");
    assertThatThrownBy(() -> a.peers.join(List.of(new PeerAddress("z", b.address()))))
        .hasMessageContaining("'b', not 'z'");
  }

  private TensorMeta meta(String name, List<Long> shape, String dtype, String notation) {
    Mesh mesh = Mesh.ofHosts(List.of(2, 2), List.of("a", "b"));
    return new TensorMeta(
        new TensorSpec(name, shape, DType.of(dtype)), Sharding.parse(mesh, notation));
  }

  private void putAll(TensorMeta meta, byte[] whole) {
    for (int device = 0; device < meta.layout().mesh().size(); device++) {
      Host host = meta.layout().mesh().hostOf(device).equals("a") ? a : b;
      byte[] tile = cut(whole, meta.whole(), meta.tile(device), meta.spec().dtype().bytes());
      put(host, meta, device, tile);
    }
  }

  private void put(Host host, TensorMeta meta, int device, byte[] tile) {
    byte[] command = Requests.write(meta.write().put("device", device));
    Schema schema =
        new Schema(List.of(Field.notNullable("data", new ArrowType.FixedSizeBinary(1))));
    try (VectorSchemaRoot root = VectorSchemaRoot.create(schema, allocator)) {
      FlightClient.ClientStreamListener upload =
          host.raw.startPut(
              FlightDescriptor.command(command), root, new AsyncPutListener(), credentials(TOKEN));
      int half = tile.length / 2;
      for (byte[] part :
          List.of(
              java.util.Arrays.copyOf(tile, half),
              java.util.Arrays.copyOfRange(tile, half, tile.length))) {
        Columns.write(MemorySegment.ofArray(part), DType.of("int8"), root.getVector(0));
        root.setRowCount(part.length);
        upload.putNext();
      }
      upload.completed();
      upload.getResult();
    }
  }

  private static boolean slice(Host host, TensorMeta meta, Box box, byte[] out) {
    return host.client.slice(Requests.ticket(meta.name(), box, false), MemorySegment.ofArray(out));
  }

  private static FlightDescriptor path(String name) {
    return FlightDescriptor.path(name);
  }

  private static CallOption credentials(String token) {
    return new CredentialCallOption(headers -> headers.insert("authorization", "Bearer " + token));
  }

  private static void status(FlightStatusCode code, Runnable call) {
    assertThatThrownBy(call::run)
        .isInstanceOfSatisfying(
            FlightRuntimeException.class,
            e -> assertThat(e.status().code()).as(e.toString()).isEqualTo(code));
  }

  private static Box randomBox(Random random, Box whole) {
    long[] lo = new long[whole.rank()];
    long[] hi = new long[whole.rank()];
    for (int d = 0; d < lo.length; d++) {
      long one = random.nextLong(whole.hi(d) + 1);
      long other = random.nextLong(whole.hi(d) + 1);
      lo[d] = Math.min(one, other);
      hi[d] = Math.max(one, other);
    }
    return Box.of(lo, hi);
  }

  /** The packed bytes of a box, element by element: slow and plain, to compare with. */
  private static byte[] cut(byte[] whole, Box of, Box box, int element) {
    List<Byte> bytes = new ArrayList<>();
    long[] at = new long[box.rank()];
    for (int d = 0; d < at.length; d++) {
      at[d] = box.lo(d);
    }
    for (long n = box.volume(); n > 0; n--) {
      long index = 0;
      for (int d = 0; d < at.length; d++) {
        index = index * of.extent(d) + at[d];
      }
      for (int i = 0; i < element; i++) {
        bytes.add(whole[(int) (index * element + i)]);
      }
      for (int d = at.length - 1; d >= 0 && ++at[d] == box.hi(d) && d > 0; d--) {
        at[d] = box.lo(d);
      }
    }
    byte[] packed = new byte[bytes.size()];
    for (int i = 0; i < packed.length; i++) {
      packed[i] = bytes.get(i);
    }
    return packed;
  }

  /** A stream whose end does not need a checked exception. */
  private record Closing(org.apache.arrow.flight.FlightStream stream) implements AutoCloseable {
    void drain() {
      while (stream.next()) {
        assertThat(stream.getRoot().getRowCount()).isPositive();
      }
    }

    @Override
    public void close() {
      try {
        stream.close();
      } catch (Exception e) {
        throw new AssertionError(e);
      }
    }
  }
}
