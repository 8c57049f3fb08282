package io.crossmesh.flight;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.json.Json;
import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.JsonValue;
import io.crossmesh.mesh.MeshJson;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.ActionType;
import org.apache.arrow.flight.BackpressureStrategy;
import org.apache.arrow.flight.Criteria;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightEndpoint;
import org.apache.arrow.flight.FlightInfo;
import org.apache.arrow.flight.FlightStream;
import org.apache.arrow.flight.Location;
import org.apache.arrow.flight.NoOpFlightProducer;
import org.apache.arrow.flight.PutResult;
import org.apache.arrow.flight.Result;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;

/** The Flight service. Formats are those of docs/flight.md. */
final class TensorProducer extends NoOpFlightProducer {
  static final String COLUMN = "data";
  private static final long CLIENT_WAIT_MILLIS_MAX = TimeUnit.SECONDS.toMillis(60);

  private final BufferAllocator allocator;
  private final Catalog catalog;
  private final SliceReader slices;
  private final PutReader puts;
  private final Actions actions;
  private final Locations locations;

  TensorProducer(
      BufferAllocator allocator,
      Catalog catalog,
      SliceReader slices,
      PutReader puts,
      Actions actions,
      Locations locations) {
    this.allocator = allocator;
    this.catalog = catalog;
    this.slices = slices;
    this.puts = puts;
    this.actions = actions;
    this.locations = locations;
  }

  @Override
  public void getStream(CallContext context, Ticket ticket, ServerStreamListener listener) {
    try {
      JsonValue request = Requests.read("ticket", ticket.getBytes());
      request.allow(Set.of("v", "tensor", "box", "local"));
      TensorMeta meta = catalog.find(request.get("tensor").text());
      Box box = request.find("box").map(MeshJson::readBox).orElseGet(meta::whole);
      if (!meta.whole().contains(box)) {
        throw Json.bad("the box %s is not inside %s".formatted(box, meta.spec()));
      }
      stream(
          meta,
          box,
          request.find("local").map(flag -> flag.node().asBoolean()).orElse(false),
          listener);
    } catch (RuntimeException e) {
      listener.error(StatusBridge.toStatus(e).toRuntimeException());
    }
  }

  private void stream(TensorMeta meta, Box box, boolean local, ServerStreamListener listener) {
    BackpressureStrategy pressure = new BackpressureStrategy.CallbackBackpressureStrategy();
    pressure.register(listener);
    try (VectorSchemaRoot root = VectorSchemaRoot.create(schema(meta, box), allocator)) {
      listener.start(root);
      slices.read(
          meta,
          box,
          local,
          band -> {
            awaitReader(pressure);
            Columns.write(band, meta.spec().dtype(), root.getVector(0));
            root.setRowCount(root.getVector(0).getValueCount());
            listener.putNext();
          });
      listener.completed();
    }
  }

  /** A stream that cannot go on ends with an error: it must never look like a whole slice. */
  private static void awaitReader(BackpressureStrategy pressure) {
    switch (pressure.waitForListener(CLIENT_WAIT_MILLIS_MAX)) {
      case READY -> {}
      case TIMEOUT ->
          throw new CrossmeshException(
              Code.TRANSFER_TIMEOUT,
              "the reader took nothing for %d ms; read faster, or ask for smaller slices."
                  .formatted(CLIENT_WAIT_MILLIS_MAX));
      default -> throw new CrossmeshException(Code.TRANSFER_CANCELLED, "the reader has gone away.");
    }
  }

  @Override
  public Runnable acceptPut(
      CallContext context, FlightStream stream, StreamListener<PutResult> acknowledgements) {
    return () -> {
      try {
        puts.put(stream);
        acknowledgements.onCompleted();
      } catch (RuntimeException e) {
        acknowledgements.onError(StatusBridge.toStatus(e).toRuntimeException());
      }
    };
  }

  @Override
  public void listFlights(
      CallContext context, Criteria criteria, StreamListener<FlightInfo> listener) {
    try {
      catalog.list().forEach(meta -> listener.onNext(info(meta)));
      listener.onCompleted();
    } catch (RuntimeException e) {
      listener.onError(StatusBridge.toStatus(e).toRuntimeException());
    }
  }

  @Override
  public FlightInfo getFlightInfo(CallContext context, FlightDescriptor descriptor) {
    try {
      return info(catalog.find(tensorOf(descriptor)));
    } catch (RuntimeException e) {
      throw StatusBridge.toStatus(e).toRuntimeException();
    }
  }

  /** A tensor is named by a path of one element, or by a document. */
  private static String tensorOf(FlightDescriptor descriptor) {
    if (descriptor.isCommand()) {
      return Requests.read("descriptor", descriptor.getCommand()).get("tensor").text();
    }
    if (descriptor.getPath().size() != 1) {
      throw Json.bad("a descriptor's path has one element, the tensor's name");
    }
    return descriptor.getPath().getFirst();
  }

  private FlightInfo info(TensorMeta meta) {
    List<FlightEndpoint> endpoints = new ArrayList<>();
    for (Map.Entry<Box, List<String>> tile : meta.holders().entrySet()) {
      Location[] where =
          tile.getValue().stream()
              .map(locations::of)
              .flatMap(Optional::stream)
              .toArray(Location[]::new);
      byte[] ticket = Requests.ticket(meta.name(), tile.getKey(), false);
      endpoints.add(new FlightEndpoint(new Ticket(ticket), where));
    }
    byte[] name = Requests.write(Requests.versioned().put("tensor", meta.name()));
    return FlightInfo.builder(schema(meta, meta.whole()), FlightDescriptor.command(name), endpoints)
        .setBytes(meta.spec().bytes())
        .setRecords(meta.whole().volume())
        .build();
  }

  private static Schema schema(TensorMeta meta, Box box) {
    Field field = Field.notNullable(COLUMN, ArrowTypes.of(meta.spec().dtype()));
    return new Schema(
        List.of(field),
        Map.of(
            "tensor", meta.name(),
            "dtype", meta.spec().dtype().name(),
            "shape", box.shape().toString(),
            "box", MeshJson.write(box).toString()));
  }

  @Override
  public void doAction(CallContext context, Action action, StreamListener<Result> listener) {
    try {
      listener.onNext(
          new Result(Requests.write(actions.answer(action.getType(), action.getBody()))));
      listener.onCompleted();
    } catch (RuntimeException e) {
      listener.onError(StatusBridge.toStatus(e).toRuntimeException());
    }
  }

  @Override
  public void listActions(CallContext context, StreamListener<ActionType> listener) {
    Actions.PUBLIC.forEach(listener::onNext);
    listener.onCompleted();
  }
}
