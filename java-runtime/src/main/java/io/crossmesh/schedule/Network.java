package io.crossmesh.schedule;

import java.util.List;

/**
 * Who waits for a transfer, and what transfers share.
 *
 * <p><b>Overlapped.</b> An operation that ends posts its transfer and the stage goes on; an
 * operation starts when its stage is free and its input has arrived.
 *
 * <p><b>Blocking.</b> Both stages are at a transfer while it lasts. The sender starts no operation
 * between the end of the one that made the data and the end of the transfer. The receiver takes
 * part once it has nothing else to do: it waits for an input, or for its own send. So a send waits
 * until the receiver needs something; since whoever waits also receives, crossing sends cannot wait
 * for each other. A stage is at one transfer at a time, as in Alpa, whose executables run SEND and
 * RECV instructions one after the other between RUN instructions (arXiv 2201.12023; the baseline of
 * arXiv 2211.05322, section 4); with {@code exchange} it is at one send and one receive at a time,
 * as with Megatron-LM's fused {@code send_forward_recv_backward} (arXiv 2104.04473). In the steady
 * state of two balanced stages that compute T a micro-batch and transfer c one way, 1F1B takes T +
 * 2c in the first way, T + c in the second and T + c overlapped; eager-1F1B overlapped takes T.
 *
 * <p><b>Links.</b> Transfers of one boundary and direction run one at a time in the order in which
 * they are posted. By default two neighbouring stages share one link that carries both directions
 * at once. With {@code hosts}, stage i is on host {@code hosts[i]} and every host has one NIC: a
 * transfer occupies the sending side of one and the receiving side of the other, so all boundaries
 * of a host share it; stages of one host exchange data without a NIC, as many at a time as like. Of
 * the transfers that could start, those posted first do. What skips stages has a link of its own
 * between the two that it joins, or takes their hosts' NICs; it is not simulated with blocking
 * transfers.
 *
 * @param overlap whether stages compute while they transfer
 * @param exchange blocking only: whether a stage may send and receive at once
 * @param halfDuplex whether a link, or a NIC, carries one direction at a time
 * @param hosts the host of each stage, or empty for a link of its own for each boundary
 */
public record Network(boolean overlap, boolean exchange, boolean halfDuplex, List<String> hosts) {
  /** One full-duplex link for each boundary, overlapped. */
  public static final Network OVERLAPPED = new Network(true, false, false, List.of());

  /** One full-duplex link for each boundary, blocking, one transfer of a stage at a time. */
  public static final Network BLOCKING = new Network(false, false, false, List.of());

  /** Copies the list and refuses options that contradict each other. */
  public Network {
    hosts = List.copyOf(hosts);
    if (overlap && exchange) {
      throw Refusal.of(
          "exchange says how blocking stages transfer; set overlap=False with it, or leave it out.");
    }
  }

  /** Refuses a list of hosts that does not fit, and skips that would block. */
  void fits(Timing timing) {
    PipelineShape shape = timing.shape();
    if (!overlap && !timing.skips().isEmpty()) {
      throw Refusal.of(
          "Skips are simulated with transfers that overlap; leave out overlap=False and exchange, or the skips.");
    }
    if (!hosts.isEmpty() && hosts.size() != shape.stages()) {
      throw Refusal.of(
          "hosts lists %d names for %d stages; name the host of each stage."
              .formatted(hosts.size(), shape.stages()));
    }
  }
}
