package io.crossmesh.transfer;

import io.crossmesh.Code;
import io.crossmesh.CrossmeshException;
import io.crossmesh.mesh.Device;
import io.crossmesh.mesh.Mesh;
import io.crossmesh.mesh.TensorSpec;
import io.crossmesh.mesh.Topology;
import io.crossmesh.plan.Order;
import io.crossmesh.plan.PlanRequest;
import io.crossmesh.plan.Strategy;
import io.crossmesh.plan.TensorReshard;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;

/**
 * Decides what the open claims of one name amount to. The n-th opening of a name on a host belongs
 * to the n-th channel of that name: of each host and side the longest run of claims, in the order
 * in which they were made, whose devices do not overlap. That depends on nothing but each host's
 * own order, so every host that has seen the same claims comes to the same answer.
 */
final class Matcher {
  /** What the claims amount to. */
  sealed interface Match {}

  /** Devices are missing. */
  record Incomplete(List<Gap> gaps) implements Match {}

  /** Devices of a side that nobody has claimed, by host; none: nobody has opened the side. */
  record Gap(Side side, Map<String, List<Integer>> devices) {}

  /** Claims that belong together contradict each other. */
  record Conflict(Failure failure, List<Claim> claims) implements Match {}

  /** Everything is there. */
  record Complete(Binding binding) implements Match {}

  private final String name;
  private final List<Claim> src;
  private final List<Claim> dst;

  private Matcher(String name, List<Claim> src, List<Claim> dst) {
    this.name = name;
    this.src = src;
    this.dst = dst;
  }

  /**
   * @param open the open claims of this name
   */
  static Match match(String name, List<Claim> open) {
    return new Matcher(name, round(open, Side.SRC), round(open, Side.DST)).match();
  }

  /** The claims of a side that belong to the next channel. */
  private static List<Claim> round(List<Claim> open, Side side) {
    Map<String, List<Claim>> byHost = new TreeMap<>();
    for (Claim claim : open) {
      if (claim.side() == side) {
        byHost.computeIfAbsent(claim.host(), h -> new ArrayList<>()).add(claim);
      }
    }
    List<Claim> round = new ArrayList<>();
    for (List<Claim> claims : byHost.values()) {
      claims.sort((a, b) -> Long.compare(a.id().number(), b.id().number()));
      Set<Integer> taken = new HashSet<>();
      for (Claim claim : claims) {
        if (claim.devices().stream().anyMatch(taken::contains)) {
          break;
        }
        taken.addAll(claim.devices());
        round.add(claim);
      }
    }
    return round;
  }

  private Match match() {
    Optional<String> conflict =
        sameSide(src)
            .or(() -> sameSide(dst))
            .or(this::acrossSides)
            .or(() -> stated("strategy", Claim::strategy))
            .or(() -> stated("order", Claim::order));
    if (conflict.isPresent()) {
      return new Conflict(new Failure(Code.PLAN_MISMATCH, conflict.get()), all());
    }
    List<Gap> gaps = new ArrayList<>();
    gap(src, Side.SRC).ifPresent(gaps::add);
    gap(dst, Side.DST).ifPresent(gaps::add);
    if (!gaps.isEmpty()) {
      return new Incomplete(gaps);
    }
    try {
      return bind();
    } catch (CrossmeshException e) {
      return new Conflict(
          new Failure(e.code(), "Channel '%s': %s".formatted(name, e.getMessage())), all());
    }
  }

  private Optional<String> sameSide(List<Claim> claims) {
    for (Claim claim : claims) {
      Claim first = claims.getFirst();
      if (claim.tensors().size() != first.tensors().size()) {
        return Optional.of(
            counts(first, claim) + " Processes of one side must open it with the same tensors.");
      }
      for (int i = 0; i < claim.tensors().size(); i++) {
        TensorSide a = first.tensors().get(i);
        TensorSide b = claim.tensors().get(i);
        if (!sameTensor(a.tensor(), b.tensor())
            || !a.layout().spec().equals(b.layout().spec())
            || !a.layout().mesh().withoutAxisNames().equals(b.layout().mesh().withoutAxisNames())) {
          return Optional.of(
              ("Channel '%s': two processes of the %s side disagree: host '%s' says %s in %s, host"
                      + " '%s' says %s in %s. Open it with the same tensors and layouts on all of"
                      + " them.")
                  .formatted(
                      name,
                      claim.side().word(),
                      first.host(),
                      a.tensor(),
                      a.layout().describe(),
                      claim.host(),
                      b.tensor(),
                      b.layout().describe()));
        }
      }
    }
    return Optional.empty();
  }

  private Optional<String> acrossSides() {
    if (src.isEmpty() || dst.isEmpty()) {
      return Optional.empty();
    }
    Claim from = src.getFirst();
    Claim to = dst.getFirst();
    if (from.tensors().size() != to.tensors().size()) {
      return Optional.of(
          counts(from, to) + " Give sender and receiver trees of the same structure.");
    }
    for (int i = 0; i < from.tensors().size(); i++) {
      TensorSide a = from.tensors().get(i);
      TensorSide b = to.tensors().get(i);
      if (!sameTensor(a.tensor(), b.tensor())) {
        return Optional.of(
            ("Channel '%s': the ends disagree on tensor %d: source host '%s' sends %s (in %s),"
                    + " destination host '%s' expects %s (in %s). Give both ends the same key,"
                    + " shape and dtype.")
                .formatted(
                    name,
                    i,
                    from.host(),
                    a.tensor(),
                    a.layout().describe(),
                    to.host(),
                    b.tensor(),
                    b.layout().describe()));
      }
    }
    return Optional.empty();
  }

  private String counts(Claim a, Claim b) {
    return "Channel '%s': host '%s' (%s) states %d tensors, host '%s' (%s) states %d."
        .formatted(
            name,
            a.host(),
            a.side().word(),
            a.tensors().size(),
            b.host(),
            b.side().word(),
            b.tensors().size());
  }

  private static boolean sameTensor(TensorSpec a, TensorSpec b) {
    return a.key().equals(b.key()) && a.shape().equals(b.shape()) && a.dtype().equals(b.dtype());
  }

  private <T> Optional<String> stated(String what, Function<Claim, Optional<T>> choice) {
    Claim first = null;
    for (Claim claim : all()) {
      Optional<T> value = choice.apply(claim);
      if (value.isEmpty()) {
        continue;
      }
      if (first == null) {
        first = claim;
      } else if (!value.equals(choice.apply(first))) {
        return Optional.of(
            ("Channel '%s': host '%s' (%s) asks for %s %s, host '%s' (%s) for %s. State the same on"
                    + " both sides, or on one only.")
                .formatted(
                    name,
                    first.host(),
                    first.side().word(),
                    what,
                    choice.apply(first).orElseThrow(),
                    claim.host(),
                    claim.side().word(),
                    value.get()));
      }
    }
    return Optional.empty();
  }

  private List<Claim> all() {
    List<Claim> all = new ArrayList<>(src);
    all.addAll(dst);
    return all;
  }

  private static Optional<Gap> gap(List<Claim> claims, Side side) {
    if (claims.isEmpty()) {
      return Optional.of(new Gap(side, Map.of()));
    }
    Mesh mesh = claims.getFirst().tensors().getFirst().layout().mesh();
    BitSet claimed = new BitSet();
    claims.forEach(claim -> claim.devices().forEach(claimed::set));
    Map<String, List<Integer>> byHost = new TreeMap<>();
    for (int i = claimed.nextClearBit(0); i < mesh.size(); i = claimed.nextClearBit(i + 1)) {
      byHost.computeIfAbsent(mesh.hostOf(i), h -> new ArrayList<>()).add(i);
    }
    return byHost.isEmpty() ? Optional.empty() : Optional.of(new Gap(side, byHost));
  }

  private Complete bind() {
    List<TensorSide> from = src.getFirst().tensors();
    List<TensorSide> to = dst.getFirst().tensors();
    List<TensorReshard> tensors = new ArrayList<>();
    for (int i = 0; i < from.size(); i++) {
      tensors.add(
          new TensorReshard(from.get(i).tensor(), from.get(i).layout(), to.get(i).layout()));
    }
    Strategy strategy = first(Claim::strategy).orElse(Strategy.AUTO);
    Order order = first(Claim::order).orElse(Order.OPTIMAL);
    Topology topology =
        firstTopology().orElseGet(() -> Topology.uniform(PlanRequest.hosts(tensors)));
    PlanRequest request = new PlanRequest(tensors, topology, strategy, order);
    return new Complete(new Binding(name, id(), all(), request));
  }

  private <T> Optional<T> first(Function<Claim, Optional<T>> choice) {
    return all().stream().map(choice).flatMap(Optional::stream).findFirst();
  }

  /** That of the source host that comes first in the mesh, else that of a destination host. */
  private Optional<Topology> firstTopology() {
    Map<String, Topology> stated = new HashMap<>();
    for (Claim claim : src) {
      claim.topology().ifPresent(t -> stated.putIfAbsent(claim.host(), t));
    }
    for (Device device : src.getFirst().tensors().getFirst().layout().mesh().devices()) {
      Topology topology = stated.get(device.host());
      if (topology != null) {
        return Optional.of(topology);
      }
    }
    return dst.stream().map(Claim::topology).flatMap(Optional::stream).findFirst();
  }

  private long id() {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JVM has SHA-256", e);
    }
    digest.update(name.getBytes(StandardCharsets.UTF_8));
    ByteBuffer numbers = ByteBuffer.allocate(16);
    for (Claim claim : all()) {
      numbers.putLong(0, claim.id().epoch()).putLong(8, claim.id().number());
      digest.update(numbers.array());
    }
    return ByteBuffer.wrap(digest.digest()).getLong();
  }
}
