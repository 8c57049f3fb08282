package io.crossmesh.flight;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.fuzz.FuzzTarget;
import io.crossmesh.json.Json;
import io.crossmesh.memory.Arena;
import io.crossmesh.memory.Slot;
import io.crossmesh.transfer.ChannelHandle;
import io.crossmesh.transfer.ChannelOpen;
import io.crossmesh.transfer.Participant;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.arrow.flight.Action;
import org.apache.arrow.flight.FlightDescriptor;
import org.apache.arrow.flight.FlightProducer.ServerStreamListener;
import org.apache.arrow.flight.FlightProducer.StreamListener;
import org.apache.arrow.flight.FlightRuntimeException;
import org.apache.arrow.flight.FlightStatusCode;
import org.apache.arrow.flight.Result;
import org.apache.arrow.flight.Ticket;
import org.apache.arrow.memory.ArrowBuf;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.dictionary.DictionaryProvider;
import org.apache.arrow.vector.ipc.message.IpcOption;

/**
 * The service of host a, without a network: both tiles of a tensor lie there, and no other host is
 * known. Every call gives its Arrow buffers and its memory of the arena back.
 */
@SuppressWarnings("NullAway") // Calls have no context here, and those that succeed no failure.
final class FuzzedService implements AutoCloseable {
  private static final String HOST = "a";
  private static final long ARENA_BYTES = 1 << 20;

  private final BufferAllocator allocator = new RootAllocator();
  private final Arena arena;
  private final TensorStore store = new TensorStore(HOST);
  private final PutReader puts;
  private final Reshards reshards;
  private final TensorProducer service;
  private final long held;
  private long ids;
  private final AtomicBoolean reached = new AtomicBoolean();

  FuzzedService(Path directory, TensorMeta meta) {
    arena = Arena.create(directory.resolve("arena-of-the-service"), ARENA_BYTES);
    Peers peers =
        new Peers(
            HOST,
            Optional.empty(),
            allocator,
            "token",
            DoorSecurity.plain(),
            Optional.empty(),
            specs -> {});
    Catalog catalog = new Catalog(store, peers);
    reshards = new Reshards(HOST, store, catalog, peers, arena, this::noEngine);
    ClientQuotas quotas = new ClientQuotas(new Quotas(1, 1), () -> {});
    puts = new PutReader(HOST, store, arena, quotas);
    service =
        new TensorProducer(
            allocator,
            catalog,
            new SliceReader(HOST, store, peers, quotas),
            puts,
            new Actions(
                () -> new Hello(HOST, 1, Optional.empty(), "/none"),
                asker -> Optional.empty(),
                Json::object,
                store,
                catalog,
                reshards),
            host -> Optional.empty());
    for (int device : meta.devicesOf(HOST)) {
      Slot slot = arena.allocate(meta.bytes(meta.tile(device)), "a tile");
      store.put(meta, List.of(new StoredTile(meta.tile(device), slot.segment(), slot::close)));
    }
    held = arena.used();
  }

  /** A request that comes so far was accepted. */
  private ChannelHandle noEngine(ChannelOpen request, Participant participant) {
    reached.set(true);
    throw new CrossmeshException(Code.AGENT_UNAVAILABLE, "no engine here.");
  }

  boolean get(byte[] ticket) {
    Listener listener = new Listener();
    service.getStream(null, new Ticket(ticket), listener);
    return done(listener.failure.get());
  }

  boolean info(FlightDescriptor descriptor) {
    try {
      return !service.getFlightInfo(null, descriptor).getEndpoints().isEmpty();
    } catch (FlightRuntimeException e) {
      return done(e);
    }
  }

  /** All that is done with a tile's descriptor before its bytes are read. */
  boolean readTile(byte[] command) {
    try {
      PutReader.Tile tile = puts.tile(FlightDescriptor.command(command));
      arena.allocate(tile.bytes(), "a tile").close();
      return done(null);
    } catch (FlightRuntimeException e) {
      return done(e);
    }
  }

  FuzzTarget.Reader does(String action) {
    return body -> {
      AtomicReference<Throwable> failure = new AtomicReference<>();
      reached.set(false);
      service.doAction(
          null,
          new Action(action, own(body)),
          new StreamListener<Result>() {
            @Override
            public void onNext(Result result) {
              // any answer will do
            }

            @Override
            public void onError(Throwable why) {
              failure.set(why);
            }

            @Override
            public void onCompleted() {
              // nothing to add
            }
          });
      return done(failure.get()) || reached.get();
    };
  }

  /** Each reshard has an id of its own: those that have ended are remembered. */
  private byte[] own(byte[] body) {
    String id = "\"%d\"".formatted(ids++);
    return new String(body, UTF_8).replace("\"one\"", id).getBytes(UTF_8);
  }

  private boolean done(Throwable failure) {
    if (allocator.getAllocatedMemory() != 0 || arena.used() != held) {
      throw new AssertionError(
          "%d bytes of Arrow and %d of the arena are not given back"
              .formatted(allocator.getAllocatedMemory(), arena.used() - held));
    }
    if (failure instanceof FlightRuntimeException refused
        && refused.status().code() != FlightStatusCode.INTERNAL
        && refused.status().code() != FlightStatusCode.UNKNOWN) {
      return false;
    }
    if (failure != null) {
      throw new AssertionError("no status that a caller could use", failure);
    }
    return true;
  }

  @Override
  public void close() {
    reshards.close();
    store.close();
    arena.close();
    allocator.close();
  }

  /** A client that takes everything at once. */
  private static final class Listener implements ServerStreamListener {
    private final AtomicReference<Throwable> failure = new AtomicReference<>();

    @Override
    public boolean isCancelled() {
      return false;
    }

    @Override
    public void setOnCancelHandler(Runnable handler) {
      // never cancelled
    }

    @Override
    public void setOnReadyHandler(Runnable handler) {
      // always ready
    }

    @Override
    public boolean isReady() {
      return true;
    }

    @Override
    public void start(VectorSchemaRoot root, DictionaryProvider dictionaries, IpcOption option) {
      // taken
    }

    @Override
    public void putNext() {
      // taken
    }

    @Override
    public void putNext(ArrowBuf metadata) {
      metadata.close();
    }

    @Override
    public void putMetadata(ArrowBuf metadata) {
      metadata.close();
    }

    @Override
    public void error(Throwable why) {
      failure.set(why);
    }

    @Override
    public void completed() {
      // taken
    }
  }
}
