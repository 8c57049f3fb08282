package io.crossmesh.plan;

import io.crossmesh.mesh.Box;
import io.crossmesh.mesh.Limit;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.Nic;
import io.crossmesh.mesh.Sharding;
import java.io.BufferedOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.security.DigestOutputStream;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
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

  private final DataOutputStream out;

  private PlanDigest(DataOutputStream out) {
    this.out = out;
  }

  /** Of a plan: 64 hexadecimal digits. */
  static String of(PlanRequest request, List<Chosen> chosen, List<Move> moves) {
    return hash(
        digest -> {
          digest.request(request);
          digest.plan(chosen, moves);
        });
  }

  /** Of a request alone: 64 hexadecimal digits. */
  static String of(PlanRequest request) {
    return hash(digest -> digest.request(request));
  }

  private interface Content {
    void write(PlanDigest digest) throws IOException;
  }

  private static String hash(Content content) {
    try {
      MessageDigest sha = MessageDigest.getInstance("SHA-256");
      try (DataOutputStream out =
          new DataOutputStream(
              new BufferedOutputStream(
                  new DigestOutputStream(OutputStream.nullOutputStream(), sha)))) {
        content.write(new PlanDigest(out));
      }
      return HexFormat.of().formatHex(sha.digest());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  private void request(PlanRequest request) throws IOException {
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

  private void mesh(Mesh mesh) throws IOException {
    ints(mesh.shape());
    for (var device : mesh.devices()) {
      text(device.host());
      out.writeInt(device.index());
    }
  }

  private void plan(List<Chosen> chosen, List<Move> moves) throws IOException {
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
      texts(move.route());
    }
  }

  private void ints(List<Integer> values) throws IOException {
    out.writeInt(values.size());
    for (int value : values) {
      out.writeInt(value);
    }
  }

  private void texts(List<String> values) throws IOException {
    out.writeInt(values.size());
    for (String value : values) {
      text(value);
    }
  }

  private void text(String value) throws IOException {
    byte[] bytes = value.getBytes(StandardCharsets.UTF_8);
    out.writeInt(bytes.length);
    out.write(bytes);
  }
}
