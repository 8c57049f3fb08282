package io.crossmesh.flight;

import io.crossmesh.json.Json;
import io.crossmesh.memory.Arena;
import io.crossmesh.memory.Slot;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.JsonValue;
import io.grpc.Context;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.types.pojo.Schema;

/** Takes one tile in: a descriptor, then batches of one column, into a slot of the arena. */
final class PutReader {
  private final String host;
  private final TensorStore store;
  private final Arena arena;
  private final ClientQuotas quotas;

  PutReader(String host, TensorStore store, Arena arena, ClientQuotas quotas) {
    this.host = host;
    this.store = store;
    this.arena = arena;
    this.quotas = quotas;
  }

  /**
   * Reads the whole stream; the tile is seen by others only when all of it is there.
   *
   * @return bytes of the tile
   */
  long put(FlightStream stream) {
    Tile tile = tile(descriptor(stream));
    try (ClientQuotas.Lease _ = quotas.take(tile.bytes())) {
      store.put(tile.meta(), List.of(stored(tile, stream)));
    }
    return tile.bytes();
  }

  private StoredTile stored(Tile tile, FlightStream stream) {
    Slot slot =
        arena.allocate(tile.bytes(), "tensor '%s' put by Flight".formatted(tile.meta().name()));
    boolean filled = false;
    try {
      fill(stream, tile, slot.segment());
      filled = true;
    } finally {
      if (!filled) {
        slot.close();
      }
    }
    return new StoredTile(tile.box(), slot.segment(), slot::close);
  }

  /** A tile that is announced: the part of a tensor that one device of this host holds. */
  record Tile(TensorMeta meta, int device) {
    Box box() {
      return meta.tile(device);
    }

    long bytes() {
      return meta.bytes(box());
    }

    RuntimeException wrongSize(String came) {
      return Json.bad(
          "device %d of %s holds the tile %s of %d bytes, but %s came"
              .formatted(device, meta.describe(), box(), bytes(), came));
    }
  }

  /** Reads what tile is to come, and refuses one that cannot be put here. */
  Tile tile(FlightDescriptor descriptor) {
    if (!descriptor.isCommand()) {
      throw Json.bad("the descriptor of a tile is a command with a JSON document, not a path");
    }
    JsonValue json = Requests.read("descriptor", descriptor.getCommand());
    TensorMeta meta = TensorMeta.read(json);
    int device = (int) json.get("device").integer(0, Integer.MAX_VALUE);
    checkDevice(meta, device);
    store.check(meta);
    return new Tile(meta, device);
  }

  private void checkDevice(TensorMeta meta, int device) {
    if (device >= meta.layout().mesh().size()) {
      throw Json.bad(
          "device %d is not on the %s of %d devices"
              .formatted(device, meta.layout().mesh(), meta.layout().mesh().size()));
    }
    String owner = meta.layout().mesh().hostOf(device);
    if (!owner.equals(host)) {
      throw Json.bad(
          "device %d of %s is on host '%s'; put its tile to that host's agent, this is '%s'"
              .formatted(device, meta.describe(), owner, host));
    }
  }

  /** Waits for the descriptor, and no longer than the call goes on. */
  private static FlightDescriptor descriptor(FlightStream stream) {
    Thread reader = Thread.currentThread();
    Context.CancellationListener end = context -> reader.interrupt();
    Context.current().addListener(end, Runnable::run);
    try {
      return stream.getDescriptor();
    } finally {
      Context.current().removeListener(end);
    }
  }

  private static boolean next(FlightStream stream) {
    try {
      return stream.next();
    } catch (IllegalArgumentException | IllegalStateException | UnsupportedOperationException e) {
      throw Json.bad(
          "a batch cannot be read (%s); send plain batches of the stream's schema, without compression"
              .formatted(e.getMessage()));
    }
  }

  private static void fill(FlightStream stream, Tile tile, MemorySegment out) {
    Schema schema = stream.getSchema();
    if (schema.getFields().size() != 1) {
      throw Json.bad("a tile comes as one column, not as %d".formatted(schema.getFields().size()));
    }
    Columns.check(schema.getFields().getFirst(), tile.meta().spec().dtype());
    long at = 0;
    while (next(stream)) {
      FieldVector column = stream.getRoot().getVector(0);
      long bytes = Columns.bytes(column);
      if (bytes > out.byteSize() - at) {
        throw tile.wrongSize("more than " + out.byteSize());
      }
      Columns.read(column, out, at);
      at += bytes;
    }
    if (at != out.byteSize()) {
      throw tile.wrongSize(String.valueOf(at));
    }
  }
}
