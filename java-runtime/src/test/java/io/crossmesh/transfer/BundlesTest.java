package io.crossmesh.transfer;

import static org.assertj.core.api.Assertions.assertThat;

import io.crossmesh.mesh.Mesh;
import io.crossmesh.transfer.sim.Cases;
import io.crossmesh.transfer.sim.Quad;
import io.crossmesh.transfer.sim.SimNetwork;
import io.crossmesh.transfer.sim.SimProcess;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Small tiles that lie one after the other at both ends travel as one slice. */
@Timeout(60)
class BundlesTest {
  private static final int STEPS = 3;

  @TempDir Path directory;

  private static List<TensorSide> tensors(Mesh mesh, List<List<Long>> shapes, List<String> specs) {
    List<TensorSide> tensors = new ArrayList<>();
    for (int t = 0; t < shapes.size(); t++) {
      tensors.add(Cases.tensor("t" + t, shapes.get(t), "int32", mesh, specs.get(t)));
    }
    return tensors;
  }

  private static void step(Quad quad, List<SimProcess> from, List<SimProcess> to, long step) {
    to.forEach(receiver -> receiver.recv(step));
    from.forEach(sender -> assertThat(sender.send(step)).isTrue());
    quad.cluster()
        .until(() -> to.stream().allMatch(SimProcess::settled), Quad.SECOND, "the step is over");
    to.forEach(receiver -> assertThat(receiver.outcome(step)).isEqualTo("received"));
    quad.cluster()
        .until(() -> from.stream().allMatch(SimProcess::settled), Quad.SECOND, "all are told");
  }

  private static final long BYTES = 300 * 4096 * Integer.BYTES;

  /** Tensors of 16 KiB, 300 of them. */
  private static List<List<Long>> small() {
    return new ArrayList<>(Collections.nCopies(300, List.of(1L, 4096L)));
  }

  /** Sends tensors cut by their first dimension to host d; what host a sends in each step. */
  private long messages(List<List<Long>> shapes, List<String> from) {
    EngineOptions options = Cases.options(64, 4);
    try (Quad quad =
        new Quad(directory, 64 << 20, options, new Random(1), SimNetwork.Weather.FAIR)) {
      Mesh src = Mesh.ofHosts(List.of(from.size()), from);
      Mesh dst = Mesh.ofHosts(List.of(from.size()), List.of("d"));
      List<String> specs = Collections.nCopies(shapes.size(), "S0 R");
      List<TensorSide> source = tensors(src, shapes, specs);
      List<SimProcess> senders = new ArrayList<>();
      List<Integer> devices = new ArrayList<>();
      for (int device = 0; device < from.size(); device++) {
        devices.add(device);
        senders.add(
            quad.host(from.get(device))
                .open(Cases.open("x", Side.SRC, source, List.of(device), 1)));
      }
      SimProcess d =
          quad.host("d").open(Cases.open("x", Side.DST, tensors(dst, shapes, specs), devices, 1));
      quad.cluster()
          .until(
              () -> d.isOpen() && senders.stream().allMatch(SimProcess::isOpen),
              Quad.SECOND,
              "it opens");
      for (long step = 0; step < STEPS; step++) {
        step(quad, senders, List.of(d), step);
      }
      return quad.host("a").status().traffic().bulkMessagesSent() / STEPS;
    }
  }

  @Test
  void manySmallTensorsAreCutIntoTheChunksOfALargeOne() {
    long chunks = Math.ceilDiv(BYTES, Bundles.CHUNK_BYTES_ALONE);
    assertThat(messages(small(), List.of("a"))).isEqualTo(chunks);
  }

  @Test
  void aBundleWhoseReceiverGetsMoreFromAnotherHostTravelsInSmallerChunks() {
    List<List<Long>> shapes = small();
    shapes.add(List.of(2L, 4096L)); // of which either host sends half
    long chunks = Math.ceilDiv(BYTES + 4096 * Integer.BYTES, Bundles.CHUNK_BYTES);
    assertThat(messages(shapes, List.of("a", "b"))).isEqualTo(chunks);
  }

  @ParameterizedTest(name = "seed {0}")
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
  void everyTileArrivesHoweverTensorsAndProcessesAreCut(long seed) {
    Random dice = new Random(seed);
    List<String> kinds = List.of("R", "S0", "S1", "S01");
    List<List<Long>> shapes = new ArrayList<>();
    List<String> from = new ArrayList<>();
    List<String> to = new ArrayList<>();
    for (int t = 0; t < 12; t++) {
      shapes.add(List.of(dice.nextInt(4) == 0 ? (long) dice.nextInt(50) : 64L * dice.nextInt(4)));
      from.add(kinds.get(dice.nextInt(4)));
      to.add(dice.nextInt(3) > 0 ? from.get(t) : kinds.get(dice.nextInt(4)));
    }
    EngineOptions options = Cases.options(64, 4);
    SimNetwork.Weather weather = new SimNetwork.Weather(100_000, 0.5, 0.5, 200_000);
    try (Quad quad = new Quad(directory, 1 << 20, options, dice, weather)) {
      List<SimProcess> senders = new ArrayList<>();
      List<SimProcess> receivers = new ArrayList<>();
      List<TensorSide> source = tensors(Quad.SRC, shapes, from);
      List<TensorSide> target = tensors(Quad.DST, shapes, to);
      for (int device = 0; device < 4; device += 2) {
        String host = Quad.SRC.hostOf(device);
        boolean split = dice.nextBoolean();
        List<Integer> all = List.of(device, device + 1);
        for (List<Integer> held :
            split ? List.of(all.subList(0, 1), all.subList(1, 2)) : List.of(all)) {
          senders.add(quad.host(host).open(Cases.open("x", Side.SRC, source, held, 2)));
        }
        receivers.add(
            quad.host(Quad.DST.hostOf(device)).open(Cases.open("x", Side.DST, target, all, 2)));
      }
      quad.cluster()
          .until(
              () ->
                  senders.stream().allMatch(SimProcess::isOpen)
                      && receivers.stream().allMatch(SimProcess::isOpen),
              Quad.SECOND,
              "it opens");
      for (long step = 0; step < STEPS; step++) {
        step(quad, senders, receivers, step);
      }
    }
  }
}
