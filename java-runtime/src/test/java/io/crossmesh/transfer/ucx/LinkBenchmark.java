package io.crossmesh.transfer.ucx;

import io.crossmesh.memory.Arena;
import io.crossmesh.memory.Slot;
import io.crossmesh.transfer.OwnerThread;
import io.crossmesh.transfer.Transport.Handler;
import io.crossmesh.transfer.Transport.Landing;
import io.crossmesh.transfer.Transport.SendDone;
import io.crossmesh.transfer.WireHeader;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * One-way bandwidth between two processes, arena to arena, beside {@code ucx_perftest} in the same
 * run: transfers of 64 MiB in chunks, several of them in flight. Prints each and their ratio. Not a
 * test; run {@link #main} with the flags of the integration tests. System properties: {@code
 * transfers}, {@code chunk} (bytes), {@code window}, {@code spins}, {@code rounds}.
 */
final class LinkBenchmark {
  private static final long TRANSFER_BYTES = 64L << 20;
  private static final int CHUNK_BYTES = Integer.getInteger("chunk", 4 << 20);
  private static final int WINDOW = Integer.getInteger("window", 8);
  private static final int TRANSFERS = Integer.getInteger("transfers", 40);
  private static final int SPINS = Integer.getInteger("spins", OwnerThread.SPINS);
  private static final int CHUNKS = (int) (TRANSFER_BYTES / CHUNK_BYTES);

  private LinkBenchmark() {}

  public static void main(String[] args) throws Exception {
    if (args.length > 0) {
      new Node(Long.parseLong(args[0])).receive(args[1]);
      return;
    }
    for (int round = 0; round < Integer.getInteger("rounds", 3); round++) {
      double reference = Math.max(perftest("ucp_am_bw"), perftest("tag_bw"));
      double measured = crossmesh();
      System.out.printf(
          Locale.ROOT,
          "UCX_TLS=%s chunk %d window %d: ucx_perftest %.2f GB/s, transport %.2f GB/s,"
              + " ratio %.2f%n",
          System.getenv("UCX_TLS"),
          CHUNK_BYTES,
          WINDOW,
          reference,
          measured,
          measured / reference);
    }
  }

  private static double crossmesh() throws Exception {
    Path temporary = Files.createTempDirectory("link");
    try (Node sender = new Node(ProcessHandle.current().pid());
        PeerProcess peer =
            new PeerProcess(
                temporary,
                System.getProperty("java.library.path", ""),
                Map.of("JAVA_TOOL_OPTIONS", options()),
                LinkBenchmark.class,
                "0" + ProcessHandle.current().pid(),
                sender.transport.address())) {
      sender.transport.connect(1, peer.expect("address "));
      sender.transfer(TRANSFERS / 4 + 1);
      long start = System.nanoTime();
      sender.transfer(TRANSFERS);
      return TRANSFERS * TRANSFER_BYTES / (double) (System.nanoTime() - start);
    }
  }

  private static String options() {
    return "-Dchunk=%d -Dwindow=%d -Dspins=%d".formatted(CHUNK_BYTES, WINDOW, SPINS);
  }

  /** GB/s of {@code ucx_perftest} with messages of a chunk's size, between two processes. */
  private static double perftest(String test) throws Exception {
    long count = TRANSFERS * (long) CHUNKS;
    String[] common = {
      "ucx_perftest",
      "-t",
      test,
      "-s",
      Integer.toString(CHUNK_BYTES),
      "-n",
      Long.toString(count),
      "-w",
      Long.toString(count / 4),
      "-p",
      "13437",
      "-f"
    };
    Process server = new ProcessBuilder(common).redirectErrorStream(true).start();
    try {
      for (int attempt = 0; attempt < 50; attempt++) {
        ProcessBuilder builder = new ProcessBuilder(common).redirectErrorStream(true);
        builder.command().add(1, "127.0.0.1");
        Process client = builder.start();
        String output = new String(client.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (client.waitFor() == 0) {
          return bandwidth(output);
        }
        TimeUnit.MILLISECONDS.sleep(50);
      }
      throw new IOException("ucx_perftest does not run");
    } finally {
      server.destroyForcibly().waitFor();
    }
  }

  /** The bandwidth in the last line, which is in units of 1024 * 1024 bytes a second. */
  private static double bandwidth(String output) {
    String[] words = output.strip().split("\\s+");
    return Double.parseDouble(words[words.length - 3]) * (1 << 20) / 1e9;
  }

  /** An arena with one transfer in it and a transport, progressed by whoever calls. */
  private static final class Node implements Handler, AutoCloseable {
    final UcxTransport transport = new UcxTransport(TestCluster.bind("127.0.0.1"));
    private final Arena arena;
    private final Slot slot;
    private final MemorySegment header;
    private final Chunk[] chunks = new Chunk[CHUNKS];
    private int inFlight;
    private int landed;
    private int acknowledged;
    private boolean over;

    Node(long name) throws IOException {
      arena =
          Arena.create(
              Path.of("/dev/shm/crossmesh-link-" + name + "-" + System.nanoTime()),
              TRANSFER_BYTES + (1 << 20));
      // The receiving process is killed in the end; the mapping does not need the name.
      Files.delete(arena.file());
      slot = arena.allocate(TRANSFER_BYTES, "benchmark");
      header = arena.allocate(WireHeader.BYTES, "header").segment();
      for (int i = 0; i < CHUNKS; i++) {
        chunks[i] = new Chunk(slot.segment().asSlice((long) i * CHUNK_BYTES, CHUNK_BYTES));
        chunks[i].segment.fill((byte) i);
      }
      transport.start(this);
    }

    void transfer(int transfers) {
      int posted = 0;
      int count = transfers * CHUNKS;
      int goal = acknowledged + transfers;
      while (acknowledged < goal) {
        while (posted < count && inFlight < WINDOW) {
          Chunk chunk = chunks[posted % CHUNKS];
          header.set(ValueLayout.JAVA_INT, 0, posted % CHUNKS);
          inFlight++;
          posted++;
          transport.send(1, header, chunk.segment, true, chunk);
        }
        step();
      }
    }

    void receive(String address) {
      transport.connect(1, address);
      System.out.println("address " + transport.address());
      System.out.flush();
      int answered = 0;
      while (!over) {
        step();
        for (; answered < landed / CHUNKS; answered++) {
          transport.send(1, header, MemorySegment.NULL, false, chunks[0].answer);
        }
      }
      close();
    }

    private void step() {
      for (int idle = 0; idle < SPINS; idle++) {
        if (transport.progress() > 0) {
          return;
        }
        Thread.onSpinWait();
      }
      transport.awaitEvent(1_000_000_000L);
    }

    @Override
    public Landing onMessage(long connection, MemorySegment received, long payloadBytes) {
      if (payloadBytes == 0) {
        acknowledged++;
        return Landing.DISCARD;
      }
      return chunks[received.get(ValueLayout.JAVA_INT_UNALIGNED, 0)];
    }

    @Override
    public void onPeerLost(int peer, String reason) {
      over = true;
    }

    @Override
    public void close() {
      transport.close();
      arena.close();
    }

    private final class Chunk implements Landing, SendDone {
      private final MemorySegment segment;
      private final SendDone answer =
          new SendDone() {
            @Override
            public void sent() {}

            @Override
            public void failed(String reason) {
              over = true;
            }
          };

      Chunk(MemorySegment segment) {
        this.segment = segment;
      }

      @Override
      public boolean ready(Runnable fetch) {
        return true;
      }

      @Override
      public void arrived(MemorySegment payload) {
        segment().copyFrom(payload);
        landed();
      }

      @Override
      public MemorySegment segment() {
        return segment;
      }

      @Override
      public boolean bulk() {
        return true;
      }

      @Override
      public void landed() {
        landed++;
      }

      @Override
      public void sent() {
        inFlight--;
      }

      @Override
      public void failed(String reason) {
        over = true;
      }
    }
  }
}
