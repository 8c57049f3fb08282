package io.crossmesh.transfer;

import static io.crossmesh.fuzz.FuzzTarget.documents;
import static io.crossmesh.fuzz.FuzzTarget.same;
import static java.nio.charset.StandardCharsets.UTF_8;

import io.crossmesh.Code;
import io.crossmesh.fuzz.FuzzTarget;
import io.crossmesh.fuzz.FuzzTargets;
import io.crossmesh.transfer.sim.Quad;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** What agents say to each other. */
public final class TransferTargets implements FuzzTargets {
  private static final long EPOCH = 7;

  @Override
  public List<FuzzTarget> open(Path directory) {
    return List.of(
        new FuzzTarget(
            "wire header",
            false,
            List.of(header(), answer()),
            Set.of(),
            FuzzTarget.ALLOCATED_MAX,
            TransferTargets::readHeader,
            () -> {}),
        documents("claim", List.of(claim()), TransferTargets::readClaim),
        documents("small control messages", small(), TransferTargets::readSmall),
        EngineTarget.of(directory));
  }

  private static byte[] header() {
    WireHeader header = new WireHeader().reset(MessageKind.CHUNK, EPOCH);
    header.channel = 3;
    header.step = 41;
    header.move = 3;
    header.chunk = 2;
    header.length = 4096;
    return EngineTarget.encode(header);
  }

  private static byte[] answer() {
    WireHeader header = new WireHeader().reset(MessageKind.DONE, EPOCH);
    header.flags = WireHeader.FLAG_GRANTS;
    header.channel = 3;
    header.step = 41;
    header.chunk = 4;
    return EngineTarget.encode(header);
  }

  /** As it came, and once more with a checksum that fits: the checks behind it are reached. */
  private static boolean readHeader(byte[] input) {
    WireHeader header = new WireHeader();
    boolean raw = EngineTarget.decode(header, input);
    boolean mended = EngineTarget.decode(header, EngineTarget.mended(input));
    if (mended) {
      if (header.move < 0 || header.chunk < 0 || header.length < 0) {
        throw new AssertionError("out of range");
      }
      byte[] again = EngineTarget.encode(header);
      same(java.util.Arrays.copyOf(EngineTarget.mended(input), WireHeader.BYTES), again);
    }
    return raw || mended;
  }

  static String claim() {
    ChannelOpen open = Quad.request("x", "a", "S0 S1", 2);
    return new String(
        ControlCodec.claim(
            new Claim(
                new Claim.Id(EPOCH, 1),
                "a",
                open.name(),
                open.side(),
                open.tensors(),
                open.devices(),
                open.strategy(),
                open.order(),
                Optional.of(
                    io.crossmesh.mesh.Topology.uniform(List.of("a", "b", "c", "d"), 1e9, 1e-5, 1)),
                true)),
        UTF_8);
  }

  private static void readClaim(String text) {
    Claim claim = ControlCodec.readClaim(text.getBytes(UTF_8), "a", EPOCH);
    same(claim, ControlCodec.readClaim(ControlCodec.claim(claim), "a", EPOCH));
  }

  private static List<String> small() {
    Failure failure = new Failure(Code.PEER_LOST, "host 'a' is gone; start it again.");
    List<byte[]> messages =
        List.of(
            ControlCodec.withdrawal(
                new ControlCodec.Withdrawal(
                    3, "x", failure, List.of(new Claim.Id(EPOCH, 1), new Claim.Id(8, 2)))),
            ControlCodec.failure(failure),
            ControlCodec.hello(new ControlCodec.Hello("a", -EPOCH)),
            ControlCodec.ready(new ControlCodec.Ready("0123456789abcdef", EPOCH)),
            ControlCodec.number(41),
            ControlCodec.digests(
                List.of(new ControlCodec.Digest(0, EPOCH), new ControlCodec.Digest(7, -EPOCH))),
            ControlCodec.chunk(new ControlCodec.Chunk(3, 4)));
    return messages.stream().map(message -> new String(message, UTF_8)).toList();
  }

  /** By the fields that are there, as the kind of the message would tell. */
  private static void readSmall(String text) {
    byte[] input = text.getBytes(UTF_8);
    if (text.contains("\"together\"")) {
      var read = ControlCodec.readWithdrawal(input);
      same(read.together(), ControlCodec.readWithdrawal(ControlCodec.withdrawal(read)).together());
    } else if (text.contains("\"code\"")) {
      ControlCodec.failure(ControlCodec.readFailure(input));
    } else if (text.contains("\"host\"")) {
      var hello = ControlCodec.readHello(input);
      same(hello, ControlCodec.readHello(ControlCodec.hello(hello)));
    } else if (text.contains("\"digests\"")) {
      var digests = ControlCodec.readDigests(input);
      same(digests, ControlCodec.readDigests(ControlCodec.digests(digests)));
    } else if (text.contains("\"digest\"")) {
      ControlCodec.ready(ControlCodec.readReady(input));
    } else if (text.contains("\"number\"")) {
      same(ControlCodec.number(ControlCodec.readNumber(input)).length > 0, true);
    } else {
      var chunk = ControlCodec.readChunk(input);
      same(chunk, ControlCodec.readChunk(ControlCodec.chunk(chunk)));
    }
  }
}
