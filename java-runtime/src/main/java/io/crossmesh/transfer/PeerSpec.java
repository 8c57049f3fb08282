package io.crossmesh.transfer;

/**
 * An agent of the cluster.
 *
 * @param host the name it was started with
 * @param epoch random per start: another epoch is another life
 * @param transportAddress what {@link Transport#address()} said there
 */
public record PeerSpec(String host, long epoch, String transportAddress) {}
