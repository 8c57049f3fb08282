package io.crossmesh.flight;

import io.crossmesh.json.Json;
import io.crossmesh.memory.Arena;
import io.crossmesh.memory.Slot;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.JsonValue;
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

  PutReader(String host, TensorStore store, Arena arena) {
    this.host = host;
    this.store = store;
    this.arena = arena;
  }

  /**
   * Reads the whole stream; the tile is seen by others only when all of it is there.
   *
   * @return bytes of the tile
   */
  long put(FlightStream stream) {
    JsonValue descriptor = descriptor(stream.getDescriptor());
    TensorMeta meta = TensorMeta.read(descriptor);
    int device = (int) descriptor.get("device").integer(0, Integer.MAX_VALUE);
    checkDevice(meta, device);
    store.check(meta);
    Box box = meta.tile(device);
    long bytes = meta.bytes(box);
    Slot slot = arena.allocate(bytes, "tensor '%s' put by Flight".formatted(meta.name()));
    boolean filled = false;
    try {
      fill(stream, meta, device, box, slot.segment());
      filled = true;
    } finally {
      if (!filled) {
        slot.close();
      }
    }
    store.put(meta, List.of(new StoredTile(box, slot.segment(), slot::close)));
    return bytes;
  }

  private static JsonValue descriptor(FlightDescriptor descriptor) {
    if (!descriptor.isCommand()) {
      throw Json.bad("the descriptor of a tile is a command with a JSON document, not a path");
    }
    return Requests.read("descriptor", descriptor.getCommand());
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

  private static void fill(
      FlightStream stream, TensorMeta meta, int device, Box box, MemorySegment out) {
    Schema schema = stream.getSchema();
    if (schema.getFields().size() != 1) {
      throw Json.bad("a tile comes as one column, not as %d".formatted(schema.getFields().size()));
    }
    Columns.check(schema.getFields().getFirst().getType(), meta.spec().dtype());
    long at = 0;
    while (stream.next()) {
      FieldVector column = stream.getRoot().getVector(0);
      long bytes = Columns.bytes(column);
      if (bytes > out.byteSize() - at) {
        throw wrongSize(meta, device, box, "more than " + out.byteSize());
      }
      Columns.read(column, out, at);
      at += bytes;
    }
    if (at != out.byteSize()) {
      throw wrongSize(meta, device, box, String.valueOf(at));
    }
  }

  private static RuntimeException wrongSize(TensorMeta meta, int device, Box box, String bytes) {
    return Json.bad(
        "device %d of %s holds the tile %s of %d bytes, but %s came"
            .formatted(device, meta.describe(), box, meta.bytes(box), bytes));
  }
}
