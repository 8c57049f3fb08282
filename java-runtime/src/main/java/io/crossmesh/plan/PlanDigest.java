package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Limit;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Nic;
import io.crossmesh.mesh.Sharding;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * SHA-256 over a canonical encoding of a plan: big-endian numbers, UTF-8 text and lists, each with
 * its length before it. Axis names and predicted times are left out: they do not change which bytes
 * move. Both ends of a channel compare it before any byte does.
 */
final class PlanDigest {
  /** Changes with the encoding, so that two versions never compare equal by accident. */
  private static final String ENCODING = "crossmesh-plan-1";

  /** The same with a deadline for each tensor; requests without any keep the digest they had. */
  private static final String ENCODING_WITH_DEADLINES = "crossmesh-plan-1-deadlines";

  private final Sink out = new Sink();

  private final Map<String, byte[]> encoded = new HashMap<>();

  /** Routes by object: moves by the hundred thousand have a few. */
  private final IdentityHashMap<List<String>, byte[]> encodedRoutes = new IdentityHashMap<>();

  private PlanDigest() {}

  /** Gathers what is digested, since it comes by the number. */
  private static final class Sink {
    private static final int BYTES = 1 << 14;

    private final MessageDigest sha = sha256();
    private final ByteBuffer gathered = ByteBuffer.allocate(BYTES);

    private static MessageDigest sha256() {
      try {
        return MessageDigest.getInstance("SHA-256");
      } catch (NoSuchAlgorithmException e) {
        throw new IllegalStateException("every Java platform has SHA-256", e);
      }
    }

    void writeInt(int value) {
      room(Integer.BYTES).putInt(value);
    }

    void writeLong(long value) {
      room(Long.BYTES).putLong(value);
    }

    void writeDouble(double value) {
      room(Double.BYTES).putDouble(value);
    }

    void write(byte[] bytes) {
      if (bytes.length <= BYTES) {
        room(bytes.length).put(bytes);
      } else {
        flush();
        sha.update(bytes);
      }
    }

    String digest() {
      flush();
      return HexFormat.of().formatHex(sha.digest());
    }

    private ByteBuffer room(int bytes) {
      if (gathered.remaining() < bytes) {
        flush();
      }
      return gathered;
    }

    private void flush() {
      sha.update(gathered.flip());
      gathered.clear();
    }
  }

  /** Of a plan: 64 hexadecimal digits. */
  static String of(PlanRequest request, List<Chosen> chosen, List<Move> moves) {
    PlanDigest digest = new PlanDigest();
    digest.request(request);
    digest.plan(chosen, moves);
    return digest.out.digest();
  }

  /** Of a request alone: 64 hexadecimal digits. */
  static String of(PlanRequest request) {
    PlanDigest digest = new PlanDigest();
    digest.request(request);
    return digest.out.digest();
  }

  private void request(PlanRequest request) {
    boolean deadlines = request.hasDeadlines();
    text(deadlines ? ENCODING_WITH_DEADLINES : ENCODING);
    text(request.strategy().id());
    text(request.order().id());
    out.writeInt(request.topology().hosts().size());
    for (Map.Entry<String, List<Nic>> host : request.topology().hosts().entrySet()) {
      text(host.getKey());
      out.writeInt(host.getValue().size());
      for (Nic nic : host.getValue()) {
        out.writeDouble(nic.bandwidth());
        out.writeDouble(nic.latency());
      }
    }
    out.writeInt(request.topology().limits().size());
    for (Limit limit : request.topology().limits()) {
      texts(limit.hosts());
      out.writeDouble(limit.bandwidth());
    }
    LayoutTable layouts = LayoutTable.withoutAxisNames(request.tensors());
    out.writeInt(layouts.meshes().size());
    for (Mesh mesh : layouts.meshes()) {
      mesh(mesh);
    }
    out.writeInt(layouts.layouts().size());
    for (Sharding layout : layouts.layouts()) {
      out.writeInt(layouts.meshOf(layout));
      out.writeInt(layout.spec().size());
      for (List<Integer> axes : layout.spec()) {
        ints(axes);
      }
    }
    out.writeInt(request.tensors().size());
    for (TensorReshard tensor : request.tensors()) {
      text(tensor.tensor().key());
      text(tensor.tensor().dtype().name());
      out.writeInt(tensor.tensor().rank());
      for (long extent : tensor.tensor().shape()) {
        out.writeLong(extent);
      }
      out.writeInt(layouts.layoutOf(tensor.src()));
      out.writeInt(layouts.layoutOf(tensor.dst()));
      if (deadlines) {
        out.writeDouble(tensor.due());
      }
    }
  }

  private void mesh(Mesh mesh) {
    ints(mesh.shape());
    for (var device : mesh.devices()) {
      text(device.host());
      out.writeInt(device.index());
    }
  }

  private void plan(List<Chosen> chosen, List<Move> moves) {
    out.writeInt(chosen.size());
    for (Chosen choice : chosen) {
      text(choice.strategy().id());
      out.writeLong(choice.chunkBytes());
    }
    out.writeInt(moves.size());
    for (Move move : moves) {
      out.writeInt(move.tensor());
      Box box = move.box();
      for (int d = 0; d < box.rank(); d++) {
        out.writeLong(box.lo(d));
        out.writeLong(box.hi(d));
      }
      out.writeLong(move.bytes());
      out.writeLong(move.chunkBytes());
      out.writeInt(move.sender());
      ints(move.receivers());
      out.write(encodedRoutes.computeIfAbsent(move.route(), PlanDigest::encode));
    }
  }

  /** What {@link #texts} writes. */
  private static byte[] encode(List<String> values) {
    List<byte[]> texts =
        values.stream().map(value -> value.getBytes(StandardCharsets.UTF_8)).toList();
    int bytes = texts.stream().mapToInt(text -> Integer.BYTES + text.length).sum();
    ByteBuffer encoded = ByteBuffer.allocate(Integer.BYTES + bytes).putInt(texts.size());
    texts.forEach(text -> encoded.putInt(text.length).put(text));
    return encoded.array();
  }

  private void ints(List<Integer> values) {
    out.writeInt(values.size());
    for (int i = 0; i < values.size(); i++) {
      out.writeInt(values.get(i));
    }
  }

  private void texts(List<String> values) {
    out.writeInt(values.size());
    for (String value : values) {
      text(value);
    }
  }

  private void text(String value) {
    byte[] bytes = encoded.computeIfAbsent(value, text -> text.getBytes(StandardCharsets.UTF_8));
    out.writeInt(bytes.length);
    out.write(bytes);
  }
}
